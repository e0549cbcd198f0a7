from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.errors import Overloaded, ShuttingDown
from gateway.proxy.traffic.slots import SlotLease, Slots

from ...rounds import rounds
from ..striker import Striker


def half() -> float:
    """Stand for chance."""
    return 0.5


class Crowd:
    """Callers that take a slot, hold it and give it back; notes what happened, and when."""

    def __init__(self, slots: Slots, nursery: trio.Nursery) -> None:
        self.slots = slots
        self.log: list[tuple[float, str, str]] = []
        self.retry_after: set[float | None] = set()
        self._nursery = nursery
        self._began = trio.current_time()

    async def come(self, name: str, hold: float = 1.0, patience: float = math.inf) -> None:
        """Start `name`, whose letter is the caller, and wait until it has its place."""
        self._nursery.start_soon(self._one, name, hold, patience)
        await trio.testing.wait_all_tasks_blocked()

    async def _one(self, name: str, hold: float, patience: float) -> None:
        try:
            await self.slots.acquire(name[0], trio.current_time() + patience, half)
        except (Overloaded, ShuttingDown) as exc:
            self.retry_after.add(exc.retry_after)
            self.note(name, exc.code)
            return
        except trio.Cancelled:
            self.note(name, "cancelled")
            raise
        with SlotLease(self.slots):
            self.note(name, "starts")
            await trio.sleep(hold)

    def note(self, name: str, event: str) -> None:
        self.log.append((round(trio.current_time() - self._began, 6), name, event))


def idle(slots: Slots) -> bool:
    return (slots.held, slots.waiting) == (0, 0)


async def run(
    slots: Slots, script: Callable[[Crowd], Any], expected: list[tuple[float, str, str]]
) -> None:
    async with trio.open_nursery() as nursery:
        crowd = Crowd(slots, nursery)
        await script(crowd)
    assert crowd.log == expected
    assert crowd.retry_after <= {3.0}
    assert idle(slots)


# At once...


def test_slots_are_taken_and_given_without_an_event_loop() -> None:
    slots = Slots("the gateway", 2, 0, 1.0)
    assert slots.acquire_nowait()
    assert slots.acquire_nowait()
    assert not slots.acquire_nowait()
    assert repr(slots) == "<Slots of the gateway: 2 of 2 held, 0 waiting>"
    slots.release()
    assert slots.held == 1
    assert slots.acquire_nowait()


def test_without_a_limit_slots_are_counted() -> None:
    slots = Slots("the gateway", None, 0, 1.0)
    assert all(slots.acquire_nowait() for _ in range(1000))
    assert (slots.held, slots.limit) == (1000, None)
    slots.limit = 1000
    assert slots.limit == 1000
    assert not slots.acquire_nowait()
    slots.release()
    assert slots.acquire_nowait()
    slots.limit = None
    assert slots.acquire_nowait()


async def test_a_free_slot_is_taken_without_a_checkpoint() -> None:
    slots = Slots("the gateway", 1, 0, 1.0)
    with trio.testing.assert_no_checkpoints():
        await slots.acquire("a", -math.inf, half)
    assert slots.held == 1


def test_a_lease_gives_back_once() -> None:
    slots = Slots("the gateway", 2, 0, 1.0)
    assert slots.acquire_nowait()
    assert slots.acquire_nowait()
    with SlotLease(slots) as lease:
        assert repr(lease) == "<SlotLease of the gateway>"
        lease.release()
        assert slots.held == 1
        lease.release()
    assert repr(lease) == "<SlotLease given back>"
    assert slots.held == 1
    with pytest.raises(ZeroDivisionError), SlotLease(slots):
        raise ZeroDivisionError
    assert slots.held == 0


# In the queue...


async def test_a_slot_goes_from_hand_to_hand(autojump_clock: MockClock) -> None:
    async def script(crowd: Crowd) -> None:
        for name in ("a1", "a2", "b1"):
            await crowd.come(name, hold=0.3)
        assert (crowd.slots.held, crowd.slots.waiting) == (1, 2)
        await trio.sleep(0.3)
        # Nobody who comes later can take what was handed on, and no time is lost.
        assert not crowd.slots.acquire_nowait()
        assert crowd.slots.oldest_wait == pytest.approx(0.3)

    slots = Slots("the gateway", 1, 10, 2.0)
    assert slots.oldest_wait == 0.0
    await run(slots, script, [(0, "a1", "starts"), (0.3, "a2", "starts"), (0.6, "b1", "starts")])
    assert slots.oldest_wait == 0.0


async def test_one_caller_with_a_thousand_delays_another_by_nothing(
    autojump_clock: MockClock,
) -> None:
    slots = Slots("the gateway", 1, 2000, math.inf)
    order: list[str] = []

    async def one(name: str) -> None:
        await slots.acquire(name[0], math.inf, half)
        order.append(name)
        slots.release()

    assert slots.acquire_nowait()
    async with trio.open_nursery() as nursery:
        for n in range(1000):
            nursery.start_soon(one, f"a{n}")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(one, "b")
        await trio.testing.wait_all_tasks_blocked()
        assert slots.waiting == 1001
        slots.release()
    assert order[0] == "b"
    assert len(order) == 1001
    assert idle(slots)


async def test_callers_take_turns(autojump_clock: MockClock) -> None:
    async def script(crowd: Crowd) -> None:
        for name in ("a1", "a2", "a3", "b1", "b2", "c1"):
            await crowd.come(name, hold=0.1)

    names = ["a1", "b1", "c1", "a2", "b2", "a3"]
    expected = [(round(n / 10, 6), name, "starts") for n, name in enumerate(names)]
    await run(Slots("the gateway", 1, 10, 2.0), script, expected)


async def test_the_newest_goes_first_when_the_oldest_waits_for_long(
    autojump_clock: MockClock,
) -> None:
    async def script(crowd: Crowd) -> None:
        await crowd.come("b1", hold=1.1)
        await crowd.come("a1", hold=0.1)
        await trio.sleep(0.5)
        await crowd.come("a2", hold=0.5)
        await crowd.come("a3", hold=0.5)

    expected = [
        (0, "b1", "starts"),
        (1.1, "a3", "starts"),
        (1.6, "a2", "starts"),
        # For a1 this is too late: 2 s are over.
        (2.0, "a1", "queue_timeout"),
    ]
    await run(Slots("the gateway", 1, 10, 2.0), script, expected)


async def test_who_waits_too_long_is_told_in_time(autojump_clock: MockClock) -> None:
    async def script(crowd: Crowd) -> None:
        await crowd.come("a1", hold=10.0)
        await crowd.come("a2")
        await crowd.come("b1", patience=0.5)
        await crowd.come("c1", patience=0.0)
        await crowd.come("d1", patience=-1.0)

    expected = [
        (0, "a1", "starts"),
        (0, "c1", "queue_full"),
        (0, "d1", "queue_full"),
        (0.5, "b1", "queue_timeout"),
        (2.0, "a2", "queue_timeout"),
    ]
    await run(Slots("the gateway", 1, 10, 2.0), script, expected)


def test_a_slot_that_ends_too_late_is_not_handed_to_who_gave_up() -> None:
    clock = MockClock()

    async def main() -> None:
        slots = Slots("the gateway", 1, 10, 2.0)
        async with trio.open_nursery() as nursery:
            crowd = Crowd(slots, nursery)
            assert slots.acquire_nowait()
            await crowd.come("a1", patience=1.0)
            await crowd.come("b1", hold=0.0)
            # The loop is stuck: a1 is too late by now, and its timer has not run yet.
            clock.jump(1.5)
            slots.release()
            assert (slots.held, slots.waiting) == (1, 0)
        assert sorted(crowd.log) == [(1.5, "a1", "queue_timeout"), (1.5, "b1", "starts")]
        assert idle(slots)

    trio.run(main, clock=clock)


@pytest.mark.parametrize(("max_queue", "timeout"), [(0, 2.0), (5, 0.0)])
async def test_a_queue_can_be_none(
    max_queue: int, timeout: float, autojump_clock: MockClock
) -> None:
    async def script(crowd: Crowd) -> None:
        await crowd.come("a1")
        await crowd.come("a2")

    slots = Slots("provider x", 1, max_queue, timeout)
    await run(slots, script, [(0, "a1", "starts"), (0, "a2", "queue_full")])


async def test_a_refusal_says_what_is_full_and_when_to_come_back() -> None:
    slots = Slots("provider x", 0, 0, 1.0)
    with pytest.raises(Overloaded, match=r"^provider x has too many") as caught:
        await slots.acquire("a", math.inf, lambda: 0.25)
    error = caught.value
    assert (error.status, error.code, error.retry_after) == (503, "queue_full", 2.0)
    assert error.should_retry is None


async def test_a_full_queue_refuses_who_has_its_share(autojump_clock: MockClock) -> None:
    async def script(crowd: Crowd) -> None:
        for name in ("a1", "a2", "b1", "a3", "c1"):
            await crowd.come(name, hold=0.1)

    expected = [
        (0, "a1", "starts"),
        (0, "a3", "queue_full"),
        (0, "c1", "queue_full"),
        (0.1, "a2", "starts"),
        (0.2, "b1", "starts"),
    ]
    await run(Slots("the gateway", 1, 2, 2.0), script, expected)


async def test_who_fills_the_queue_makes_room_for_others(autojump_clock: MockClock) -> None:
    async def script(crowd: Crowd) -> None:
        for name in ("a1", "a2", "a3", "a4", "b1", "a5"):
            await crowd.come(name, hold=0.1)

    expected = [
        (0, "a1", "starts"),
        (0, "a4", "queue_full"),
        (0, "a5", "queue_full"),
        (0.1, "b1", "starts"),
        (0.2, "a2", "starts"),
        (0.3, "a3", "starts"),
    ]
    await run(Slots("the gateway", 1, 3, 2.0), script, expected)


async def test_nobody_makes_room_for_who_is_too_late(autojump_clock: MockClock) -> None:
    async def script(crowd: Crowd) -> None:
        for name in ("a1", "a2", "a3"):
            await crowd.come(name, hold=0.1)
        await crowd.come("b1", patience=0.0)

    expected = [
        (0, "a1", "starts"),
        (0, "b1", "queue_full"),
        (0.1, "a2", "starts"),
        (0.2, "a3", "starts"),
    ]
    await run(Slots("the gateway", 1, 2, 2.0), script, expected)


# Live changes...


async def test_a_higher_limit_serves_who_waits_at_once(autojump_clock: MockClock) -> None:
    async def script(crowd: Crowd) -> None:
        for name in ("a1", "a2", "b1", "b2"):
            await crowd.come(name)
        await trio.sleep(0.5)
        crowd.slots.limit = 3
        assert (crowd.slots.held, crowd.slots.waiting) == (3, 1)
        await trio.sleep(0.2)
        crowd.slots.limit = None

    expected = [
        (0, "a1", "starts"),
        (0.5, "a2", "starts"),
        (0.5, "b1", "starts"),
        (0.7, "b2", "starts"),
    ]
    slots = Slots("the gateway", 1, 10, 2.0)
    async with trio.open_nursery() as nursery:
        crowd = Crowd(slots, nursery)
        await script(crowd)
    # Which of two that start at once comes first is up to Trio.
    assert sorted(crowd.log) == expected
    assert idle(slots)


async def test_a_lower_limit_lets_the_present_ones_finish(autojump_clock: MockClock) -> None:
    async def script(crowd: Crowd) -> None:
        for name, hold in (("a1", 0.1), ("a2", 0.2), ("a3", 0.3), ("b1", 0.1), ("b2", 0.1)):
            await crowd.come(name, hold)
        crowd.slots.limit = 1
        assert (crowd.slots.held, crowd.slots.waiting) == (3, 2)
        await trio.sleep(0.25)
        assert (crowd.slots.held, crowd.slots.waiting) == (1, 2)
        assert not crowd.slots.acquire_nowait()

    expected = [
        (0, "a1", "starts"),
        (0, "a2", "starts"),
        (0, "a3", "starts"),
        (0.3, "b1", "starts"),
        (0.4, "b2", "starts"),
    ]
    await run(Slots("the gateway", 3, 10, 2.0), script, expected)


async def test_a_new_timeout_and_queue_are_for_newcomers(autojump_clock: MockClock) -> None:
    async def script(crowd: Crowd) -> None:
        for name in ("a1", "a2", "b1"):
            await crowd.come(name, hold=9.0)
        crowd.slots.timeout = 0.5
        crowd.slots.max_queue = 3
        await crowd.come("c1")
        crowd.slots.max_queue = 1
        await crowd.come("d1")

    expected = [
        (0, "a1", "starts"),
        (0, "d1", "queue_full"),
        (0.5, "c1", "queue_timeout"),
        (2.0, "a2", "queue_timeout"),
        (2.0, "b1", "queue_timeout"),
    ]
    slots = Slots("the gateway", 1, 2, 2.0)
    async with trio.open_nursery() as nursery:
        crowd = Crowd(slots, nursery)
        await script(crowd)
    assert sorted(crowd.log) == expected
    assert idle(slots)


async def test_a_drain_empties_the_queue_for_good(autojump_clock: MockClock) -> None:
    async def script(crowd: Crowd) -> None:
        await crowd.come("a1", hold=1.0)
        await crowd.come("a2")
        await trio.sleep(0.5)
        crowd.slots.refuse_all()
        crowd.slots.refuse_all()
        await trio.testing.wait_all_tasks_blocked()
        await crowd.come("b1")
        await trio.sleep(0.5)
        await crowd.come("c1", hold=0.1)

    expected = [
        (0, "a1", "starts"),
        (0.5, "a2", "server_shutting_down"),
        (0.5, "b1", "queue_full"),
        # What is free can still be had: a drain keeps serving for a while.
        (1.0, "c1", "starts"),
    ]
    await run(Slots("the gateway", 1, 10, 2.0), script, expected)


# Cancelled...


@pytest.mark.parametrize("first", ["cancel", "give"])
async def test_a_slot_handed_to_one_cancelled_in_the_same_tick_goes_on(
    first: str, autojump_clock: MockClock
) -> None:
    slots = Slots("the gateway", 1, 10, 2.0)
    assert slots.acquire_nowait()
    async with trio.open_nursery() as nursery:
        crowd = Crowd(slots, nursery)
        scope = trio.CancelScope()

        async def doomed() -> None:
            with scope:
                await slots.acquire("a", math.inf, half)
                # Handed over before the cancellation, it is held, and given as any other.
                with SlotLease(slots):
                    crowd.note("a", "starts")
                    await trio.sleep(5)

        nursery.start_soon(doomed)
        await trio.testing.wait_all_tasks_blocked()
        await crowd.come("b1")
        acts = {"cancel": scope.cancel, "give": slots.release}
        acts.pop(first)()
        acts.popitem()[1]()
        assert (slots.held, slots.waiting) == (1, 1)
    mine = [(0, "a", "starts")] if first == "give" else []
    assert crowd.log == [*mine, (0, "b1", "starts")]
    assert idle(slots)


@pytest.mark.parametrize("end", ["refuse_all", "displace"])
async def test_one_sent_away_and_cancelled_in_the_same_tick_leaves_nothing(
    end: str, autojump_clock: MockClock
) -> None:
    slots = Slots("the gateway", 1, 2, 2.0)
    assert slots.acquire_nowait()
    async with trio.open_nursery() as nursery:
        crowd = Crowd(slots, nursery)
        await crowd.come("a1")
        await crowd.come("a2")
        nursery.cancel_scope.cancel()
        if end == "refuse_all":
            slots.refuse_all()
        else:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 0.1):
                await slots.acquire("b", math.inf, half)
    assert sorted(crowd.log) == [(0, "a1", "cancelled"), (0, "a2", "cancelled")]
    assert (slots.held, slots.waiting) == (1, 0)


def play(at: int, seed: int, target: int) -> tuple[Slots, int, int]:
    """Let six requests queue for two slots, one of them cancelled at step `at`."""
    striker = Striker(at)
    slots = Slots("the gateway", 2, 3, 2.0)
    peak = 0

    async def main() -> None:
        nonlocal peak
        scopes = [trio.CancelScope() for _ in range(6)]
        striker.strike = scopes[target].cancel

        async def one(n: int) -> None:
            nonlocal peak
            with scopes[n]:
                try:
                    await slots.acquire("aaabbc"[n], trio.current_time() + 1.5, half)
                except Overloaded:
                    return
                with SlotLease(slots):
                    peak = max(peak, slots.held)
                    await trio.sleep(0.5 + n / 10)

        async with trio.open_nursery() as nursery:
            for n in range(6):
                nursery.start_soon(one, n)
        striker.strike = None

    dice: random.Random = trio._core._run._r
    dice.seed(seed)
    trio.run(main, clock=MockClock(autojump_threshold=0), instruments=[striker])
    return slots, striker.steps, peak


@pytest.mark.parametrize("target", range(6))
def test_nothing_is_left_of_a_wait_cancelled_at_any_step(target: int) -> None:
    for seed in range(rounds(1, 3)):
        _, steps, _ = play(10**9, seed, target)
        assert steps > 10
        for at in range(1, steps + 1):
            slots, _, peak = play(at, seed, target)
            assert idle(slots), (at, seed)
            assert peak == 2, (at, seed)


@pytest.mark.soak
async def test_very_many_takes_with_cancellations_leave_nothing() -> None:
    """Each of 100 tasks takes again and again; whoever gets a slot strikes at random at others."""
    dice = random.Random(3)
    slots = Slots("the gateway", 10, 60, 30.0)
    scopes: list[trio.CancelScope | None] = [None] * 100
    ends = {"served": 0, "refused": 0, "cancelled": 0}
    turns = rounds(100, 1000)
    peak = 0

    async def one(n: int) -> None:
        nonlocal peak
        for _ in range(turns):
            end = "cancelled"
            with trio.CancelScope() as scope:
                scopes[n] = scope
                try:
                    await slots.acquire(str(n % 7), math.inf, dice.random)
                except Overloaded:
                    end = "refused"
                    # Otherwise who is refused would have had all its turns within a moment.
                    await trio.lowlevel.checkpoint()
                else:
                    with SlotLease(slots):
                        peak = max(peak, slots.held)
                        victim = scopes[dice.randrange(100)]
                        if victim is not None and dice.random() < 0.5:
                            victim.cancel()
                        await trio.lowlevel.checkpoint()
                        end = "served"
            ends[end] += 1

    async with trio.open_nursery() as nursery:
        for n in range(100):
            nursery.start_soon(one, n)
    assert idle(slots)
    assert sum(ends.values()) == 100 * turns
    assert min(ends.values()) > 5 * turns, ends
    assert peak == 10
