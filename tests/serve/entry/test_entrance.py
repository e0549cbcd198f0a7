"""Who begins, who waits and who is turned away."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import AsyncIterator

import pytest
import trio

from gateway.lifecycle import EntryCounts
from gateway.serve.entry.entrance import FEWEST, LEAST_ROOM, MORE, PROBES, Entrance, Entrant
from gateway.serve.policy import ServingPolicy


class Noted(Entrant):
    def __init__(self, caller: str, log: list[str]) -> None:
        super().__init__(caller, time.monotonic())
        self.log = log

    def call(self) -> None:
        self.log.append(f"{self.caller} began")

    def turn_away(self) -> None:
        self.log.append(f"{self.caller} turned away")


# Room for the least, so that the tests need not know what this machine does in a second.
POLICY = ServingPolicy(wait=1e-6, burst_wait=1e-6)


@pytest.fixture
async def entrance() -> AsyncIterator[Entrance]:
    entrance = Entrance(lambda: POLICY, EntryCounts())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(entrance.run)
        await trio.testing.wait_all_tasks_blocked()
        yield entrance
        nursery.cancel_scope.cancel()


def fill(entrance: Entrance, caller: str, count: int, log: list[str]) -> int:
    now = time.monotonic()
    lined_up = [entrance.line_up(Noted(caller, log), probe=False, now=now) for _ in range(count)]
    return sum(lined_up)


async def test_so_many_begin_in_a_pass(entrance: Entrance) -> None:
    await trio.sleep(0.01)
    assert [entrance.enter() for _ in range(FEWEST + 2)] == [True] * FEWEST + [False] * 2
    assert entrance.busy
    await trio.sleep(0.01)
    assert entrance.enter()


async def test_none_overtakes_those_that_wait(entrance: Entrance) -> None:
    log: list[str] = []
    assert fill(entrance, "a", 1, log) == 1
    assert not entrance.enter()
    await trio.testing.wait_all_tasks_blocked()
    assert log == ["a began"]


async def test_one_that_floods_displaces_itself_alone(entrance: Entrance) -> None:
    log: list[str] = []
    assert fill(entrance, "flood", 100, log) == LEAST_ROOM
    assert fill(entrance, "other", 3, log) == 3
    assert log == ["flood turned away"] * 3
    await trio.testing.wait_all_tasks_blocked()
    began = [each.removesuffix(" began") for each in log[3:]]
    # Among the first of those that begin, although it came last.
    assert began[:6].count("other") == 3
    assert began.count("flood") == LEAST_ROOM - 3


async def test_who_was_turned_away_last_is_known_until_the_line_changes(entrance: Entrance) -> None:
    log: list[str] = []
    fill(entrance, "flood", LEAST_ROOM, log)
    assert not entrance.is_full_for("flood")
    assert fill(entrance, "flood", 2, log) == 0
    assert entrance.is_full_for("flood")
    assert not entrance.is_full_for("other")
    # One of the others displaces it: with that its share is smaller, and yet it may come.
    assert fill(entrance, "other", 1, log) == 1
    assert not entrance.is_full_for("flood")
    fill(entrance, "flood", 2, log)
    await trio.testing.wait_all_tasks_blocked()
    assert not entrance.is_full_for("flood")
    assert fill(entrance, "flood", 1, log) == 1


async def test_one_that_gives_up_makes_room(entrance: Entrance) -> None:
    now = time.monotonic()
    given_up = Noted("flood", [])
    assert entrance.line_up(given_up, probe=False, now=now)
    fill(entrance, "flood", LEAST_ROOM, [])
    assert entrance.is_full_for("flood")
    entrance.forget(given_up)
    assert not entrance.is_full_for("flood")
    assert fill(entrance, "flood", 1, []) == 1


async def test_probes_go_first_and_are_not_displaced(entrance: Entrance) -> None:
    log: list[str] = []
    fill(entrance, "a", LEAST_ROOM, log)
    now = time.monotonic()
    for number in range(PROBES + 1):
        lined_up = entrance.line_up(Noted("probe", log), probe=True, now=now)
        assert lined_up == (number < PROBES)
    await trio.testing.wait_all_tasks_blocked()
    assert log[:2] == ["probe began"] * 2
    # They leave half of each pass to the others.
    assert "a began" in log[: MORE // 2 + 1]


async def test_what_is_given_up_is_not_called(entrance: Entrance) -> None:
    log: list[str] = []
    fill(entrance, "a", 2, log)
    with trio.CancelScope() as scope:
        scope.cancel()
        await entrance.turn(b"GET / HTTP/1.1\r\n\r\n", "b")
    await trio.testing.wait_all_tasks_blocked()
    assert log == ["a began"] * 2
    assert entrance.enter()


async def test_a_turn_says_how_long_it_took(entrance: Entrance) -> None:
    fill(entrance, "a", 2, [])
    waited = await entrance.turn(b"GET / HTTP/1.1\r\n\r\n", "b")
    assert waited is not None
    assert 0 <= waited < 1


async def test_no_limit_of_wait_turns_none_away() -> None:
    entrance, log = Entrance(lambda: ServingPolicy(wait=0), EntryCounts()), list[str]()
    assert fill(entrance, "a", 5000, log) == 5000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(entrance.run)
        with trio.fail_after(60):
            while len(log) < 5000:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert set(log) == {"a began"}


async def test_counts_and_log_tell_of_it(
    entrance: Entrance, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        fill(entrance, "a", LEAST_ROOM + 10, [])
    counts = entrance._counts
    assert (counts.waiting, counts.turned_away) == (LEAST_ROOM, 10)
    assert counts.wait > 0
    # Once in a while, not for each.
    assert caplog.text.count("turned away with 503") == 1
    await trio.testing.wait_all_tasks_blocked()
    assert (counts.waiting, counts.wait, counts.turned_away) == (0, 0.0, 10)


async def test_a_line_that_stands_gets_shorter() -> None:
    policy = ServingPolicy(wait=1e-6, burst_wait=10.0)
    entrance = Entrance(lambda: policy, EntryCounts())
    log: list[str] = []
    assert fill(entrance, "a", 500, log) == 500
    policy = ServingPolicy(wait=1e-6, burst_wait=1e-6)
    entrance._rate = 100_000.0
    entrance._serve(time.monotonic() + 1, 0.0)
    # And while it stands more of it begin in a pass.
    assert log.count("a began") == MORE
    assert log.count("a turned away") > 0


async def test_the_end_calls_all() -> None:
    entrance = Entrance(lambda: POLICY, EntryCounts())
    log: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(entrance.run)
        await trio.testing.wait_all_tasks_blocked()
        fill(entrance, "a", LEAST_ROOM, log)
        entrance.line_up(Noted("probe", log), probe=True, now=0.0)
        nursery.cancel_scope.cancel()
    assert len(log) == LEAST_ROOM + 1
    assert all(each.endswith("began") for each in log)
    assert entrance._left == sys.maxsize
