"""What a body costs before it is known whether it is served: no more for what is long in it.

Calls are counted, which a busy machine does not change; what C does for a whole body is measured
against the standard library's reading of the same body in the same run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import pytest

from gateway.core.wire.json_scan import MAX_MEMBERS

from .cost import DOORS, SHAPES, SIZE, calls, members, read

EACH: Final = pytest.mark.parametrize("door", DOORS)


def took(work: Callable[[], Any]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


@cache
def shaped(shape: str) -> tuple[str, float]:
    """Return a long value of a shape, and how long the standard library takes to read it."""
    value = SHAPES[shape](SIZE)
    given = value.encode()
    return value, min(took(lambda: json.loads(given)) for _ in range(3))


@pytest.mark.slow
@EACH
def test_what_is_long_takes_no_more_calls(door: str) -> None:
    dialect, rest, places, rules = DOORS[door]
    for place in (*places, "unknown"):
        for shape, made in SHAPES.items():
            found = []
            for size in (SIZE // 4, SIZE):
                body = f'{{{rest},"{place}":{made(size)}}}'.encode()
                found.append(calls(lambda body=body: read(dialect, rules, body)))  # type: ignore[misc]
            # An object's members are counted up to the bound, and tools and the requests of a batch
            # are looked at one by one.
            assert found[1] <= max(found[0] + 20, 20 * MAX_MEMBERS), (place, shape, found)


@pytest.mark.slow
@pytest.mark.measured
@EACH
def test_no_shape_takes_long_beside_plain_reading(door: str) -> None:
    """The standard library takes some 10 ms a megabyte of these shapes, so this is below 50."""
    dialect, rest, places, rules = DOORS[door]
    for shape in SHAPES:
        value, plain = shaped(shape)
        body = f'{{{rest},"{places[0]}":{value}}}'.encode()
        # 4 ms for as many members as may be, each of them new. The fastest of three counts.
        most = 5 * plain + 0.004
        ours: list[float] = []
        while not (ours and min(ours) < most):
            assert len(ours) < 3, (shape, ours, plain)
            ours.append(took(lambda body=body: read(dialect, rules, body)))  # type: ignore[misc]


@EACH
def test_the_most_members_that_there_may_be(door: str) -> None:
    dialect, rest, places, rules = DOORS[door]
    most = members(f'"member-{n}":1' for n in range(MAX_MEMBERS))
    for place in (*places, "unknown"):
        body = f'{{{rest},"{place}":{most}}}'.encode()
        assert calls(lambda body=body: read(dialect, rules, body)) < 35 * MAX_MEMBERS  # type: ignore[misc]
    body = f"{{{rest},{most[1:-1]}}}".encode()
    assert not read(dialect, rules, body)
    fewer = ",".join(most[1:-1].split(",")[20:])
    assert calls(lambda: read(dialect, rules, f"{{{rest},{fewer}}}".encode())) < 35 * MAX_MEMBERS
