"""What a body costs before it is known whether it is served: no more for what is long in it.

Calls are counted, which a busy machine does not change; what C does for a whole body is measured
against the standard library's reading of the same body in the same run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final

import pytest

from gateway.core.wire.json_scan import MAX_MEMBERS

from .cost import DOORS, SHAPES, SIZE, calls, members, read

EACH: Final = pytest.mark.parametrize("door", DOORS)


def fastest(work: Callable[[], Any]) -> float:
    took = []
    for _ in range(3):
        began = time.thread_time()
        work()
        took.append(time.thread_time() - began)
    return min(took)


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


@EACH
def test_no_shape_takes_long_beside_plain_reading(door: str) -> None:
    """The standard library takes some 10 ms a megabyte of these shapes, so this is below 50."""
    dialect, rest, places, rules = DOORS[door]
    for shape, made in SHAPES.items():
        body = f'{{{rest},"{places[0]}":{made(SIZE)}}}'.encode()
        plain = fastest(lambda body=body: json.loads(body))  # type: ignore[misc]
        ours = fastest(lambda body=body: read(dialect, rules, body))  # type: ignore[misc]
        # 4 ms for as many members as may be, each of them new.
        assert ours < 5 * plain + 0.004, (shape, ours, plain)


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
