"""Ends of grants on their way: one for each, none lost, none before its time."""

from __future__ import annotations

import random
from typing import Any, Literal, cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.core.limits.ledger import Scope, ScopeLimits
from gateway.core.limits.operations import (
    EndCall,
    GrantEnding,
    GrantHolding,
    LimitCall,
    RenewCall,
    StoreFailed,
)
from gateway.state.shared import endings
from gateway.state.shared.endings import EndingQueue
from gateway.state.shared.link import StoreLink

from ...rounds import rounds

SCOPES = (Scope("token:a", ScopeLimits(max_concurrent=1)),)
How = Literal["release", "settle", "void"]


class RecordingLink:
    """Takes `delay` seconds for each call, and knows what was asked and done. May fail."""

    def __init__(self, delay: float = 0.0) -> None:
        self.up = True
        self.delay = delay
        self.failing = 0
        self.asked: list[LimitCall] = []
        self.done: list[LimitCall] = []

    async def ask(self, call: LimitCall) -> Any:
        self.asked.append(call)
        await trio.sleep(self.delay)
        if self.failing:
            self.failing -= 1
            raise StoreFailed("away")
        self.done.append(call)

    @property
    def ended(self) -> list[tuple[str, str, int]]:
        """Return which grants ended how, in the order in which the store was told."""
        return [
            (ending.grant.id, ending.how, ending.cost)
            for call in self.done
            if isinstance(call, EndCall)
            for ending in call.endings
        ]


def queue_of(link: RecordingLink) -> EndingQueue:
    return EndingQueue(cast("StoreLink", link))


def held(name: str) -> GrantHolding:
    return GrantHolding(name, SCOPES, (), leased=True)


def end(name: str, how: How, cost: int = 0) -> GrantEnding:
    return GrantEnding(held(name), how, 0, cost)


async def test_what_is_told_last_before_it_is_sent_is_all_that_is_sent() -> None:
    link = RecordingLink()
    queue = queue_of(link)
    for name in "ab":
        queue.put(end(name, "release"))
    queue.put(end("a", "settle", 7))
    assert len(queue) == 2
    await queue.send()
    # In its old place: it waits no longer than others.
    assert link.ended == [("a", "settle", 7), ("b", "release", 0)]
    assert (len(queue), len(link.asked)) == (0, 1)


async def test_what_comes_while_another_is_under_way_is_sent_after_it(
    autojump_clock: MockClock,
) -> None:
    link = RecordingLink(1.0)
    queue = queue_of(link)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.run)
        await wait_all_tasks_blocked()
        queue.put(end("a", "release"))
        await trio.sleep(0.5)
        queue.put(end("a", "settle", 7))
        queue.put(end("b", "void"))
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    assert link.ended == [("a", "release", 0), ("a", "settle", 7), ("b", "void", 0)]
    assert len(queue) == 0


@pytest.mark.parametrize("during", [False, True])
async def test_nothing_is_lost_with_a_failure(autojump_clock: MockClock, during: bool) -> None:
    link = RecordingLink(1.0)
    link.failing = 3
    queue = queue_of(link)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.run)
        await wait_all_tasks_blocked()
        queue.put(end("a", "release"))
        queue.put(end("b", "settle", 5))
        await trio.sleep(0.5 if during else 1.01)
        queue.put(end("a", "settle", 7))
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert link.ended == [("a", "settle", 7), ("b", "settle", 5)]
    assert len(queue) == 0


async def test_the_oldest_have_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endings, "_MOST", 3)
    link = RecordingLink()
    queue = queue_of(link)
    for name in "abc":
        queue.put(end(name, "release"))
    # More of what is there already needs no room.
    queue.put(end("a", "settle", 1))
    assert queue.dropped == 0
    for name in "de":
        queue.put(end(name, "void"))
    assert (queue.dropped, len(queue)) == (2, 3)
    await queue.send()
    assert [name for name, *_ in link.ended] == ["c", "d", "e"]


async def test_one_that_is_dropped_while_it_is_under_way(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "_MOST", 1)
    link = RecordingLink(1.0)
    queue = queue_of(link)
    queue.put(end("a", "settle", 1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.send)
        await trio.sleep(0.5)
        queue.put(end("b", "settle", 2))
    assert link.ended == [("a", "settle", 1), ("b", "settle", 2)]


async def test_renewals_that_are_let_go_of_while_one_is_under_way(
    autojump_clock: MockClock,
) -> None:
    link = RecordingLink(1.0)
    queue = queue_of(link)
    for newer in ((), (held("b"),)):
        queue.renew([held("a")], 60)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(queue.send)
            await trio.sleep(0.5)
            queue.forget_renewals()
            queue.renew(newer, 60)
        assert len(queue) == 0
    renewed = [call.grants[0].id for call in link.done if isinstance(call, RenewCall)]
    assert renewed == ["a", "a", "b"]


async def test_the_last_of_a_process_is_sent_beside_what_is_under_way(
    autojump_clock: MockClock,
) -> None:
    link = RecordingLink(1.0)
    queue = queue_of(link)
    queue.renew([held("r")], 60)
    queue.put(end("a", "settle", 7))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.send)
        await trio.sleep(0.5)
        nursery.start_soon(queue.send)
    # What arrives twice counts once.
    assert {*link.ended} == {("a", "settle", 7)}
    assert len(queue) == 0


@pytest.mark.parametrize("seed", range(rounds(5, 200)))
async def test_any_order_ends_each_grant_once_or_more_and_last_as_it_did(
    autojump_clock: MockClock, seed: int
) -> None:
    rng = random.Random(seed)
    link = RecordingLink(0.1)
    queue = queue_of(link)
    last: dict[str, tuple[str, int]] = {}

    async def life(name: str) -> None:
        await trio.sleep(rng.random())
        if rng.random() < 0.7:
            queue.put(end(name, "release"))
            last[name] = "release", 0
            await trio.sleep(rng.random() * 0.2)
        cost = rng.randrange(100)
        queue.put(end(name, "settle", cost))
        last[name] = "settle", cost

    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.run)
        async with trio.open_nursery() as lives:
            for number in range(100):
                lives.start_soon(life, f"g{number}")
            for _ in range(5):
                await trio.sleep(rng.random() * 0.3)
                link.failing = rng.randrange(3)
        await trio.sleep(60)
        assert len(queue) == 0
        nursery.cancel_scope.cancel()
    told: dict[str, list[tuple[str, int]]] = {}
    for name, how, cost in link.ended:
        told.setdefault(name, []).append((how, cost))
    assert {name: all_told[-1] for name, all_told in told.items()} == last
    assert all(len({*all_told}) == len(all_told) <= 2 for all_told in told.values())
