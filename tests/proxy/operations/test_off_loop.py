from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from gateway.errors import InvalidRequest
from gateway.proxy.operations.off_loop import (
    _LINES,
    LARGE,
    MANY,
    MANY_SMALL,
    beside,
    beside_if_long,
)


def sent_by(name: str = "a", client: str = "::1", *, is_open: bool = False) -> Any:
    return SimpleNamespace(
        caller=SimpleNamespace(name=name),
        record=SimpleNamespace(client=client),
        snapshot=SimpleNamespace(open=is_open),
    )


async def test_small_work_is_done_at_once_and_large_work_beside_the_loop() -> None:
    here = threading.current_thread()
    assert await beside(sent_by(), LARGE, threading.current_thread) is here
    assert await beside(sent_by(), LARGE + 1, threading.current_thread) is not here


@pytest.mark.parametrize(
    ("body", "is_beside"),
    [
        (b"{" * MANY + b" " * MANY, False),
        (b"{" * (MANY + 1) + b" " * MANY, True),
        (b'"",' * MANY_SMALL, False),
        (b'"",' * (MANY_SMALL + 1), True),
        (b" " * LARGE, False),
        (b" " * (LARGE + 1), True),
    ],
)
async def test_work_on_many_items_is_done_beside_the_loop(body: bytes, is_beside: bool) -> None:
    found = await beside_if_long(sent_by(), body, threading.current_thread)
    assert (found is not threading.current_thread()) == is_beside


@pytest.mark.parametrize("size", [1, LARGE + 1])
async def test_what_is_wrong_is_told(size: int) -> None:
    def refuse() -> None:
        raise InvalidRequest("no")

    with pytest.raises(InvalidRequest, match="no"):
        await beside(sent_by(), size, refuse)
    assert not _LINES


@pytest.mark.parametrize(
    ("many", "one"),
    [
        (sent_by("many"), sent_by("one")),
        (sent_by(is_open=True, client="::2"), sent_by(is_open=True, client="::3")),
    ],
)
async def test_one_who_sends_many_waits_for_itself(many: Any, one: Any) -> None:
    order: list[str] = []

    async def send(who: Any, name: str) -> None:
        def work() -> None:
            time.sleep(0.02)
            order.append(name)

        await beside(who, LARGE + 1, work)

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(send, many, "many")
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(2):
            nursery.start_soon(send, one, "one")
    # Both threads work, one for each: its two are done among the first four or five.
    assert order.count("many") == 8
    assert max(index for index, name in enumerate(order) if name == "one") <= 5
    assert not _LINES


async def test_whoever_leaves_while_waiting_is_in_nobody_s_way() -> None:
    release = threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(beside, sent_by(), LARGE + 1, release.wait)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0) as left:
            await beside(sent_by(), LARGE + 1, time.monotonic)
        assert left.cancelled_caught
        assert await beside(sent_by("b"), LARGE + 1, lambda: "beside") == "beside"
        release.set()
    assert await beside(sent_by(), LARGE + 1, lambda: "next") == "next"
    assert not _LINES
