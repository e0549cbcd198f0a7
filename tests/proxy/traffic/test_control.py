from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.config.schema import LimitsConfig
from gateway.core.limits.shedding import OverloadPolicy
from gateway.errors import ShuttingDown
from gateway.lifecycle import Lifecycle
from gateway.providers.settings import Provider
from gateway.proxy.traffic.control import TrafficControl


def provider(most: int | None) -> Provider:
    return Provider(kind="demo", max_concurrent=most)


def never() -> float:
    return 0.0


def test_limits_are_taken_from_the_configuration() -> None:
    traffic = TrafficControl(Lifecycle())
    policy = OverloadPolicy(max_in_flight=7)
    limits = LimitsConfig(max_concurrent=5, max_queue=3, queue_timeout=9.0)
    traffic.configure(limits, policy, {"a": provider(2), "b": provider(None)})
    assert [(each.what, each.limit) for each in traffic] == [
        ("the gateway", 5),
        ("provider a", 2),
        ("provider b", None),
    ]
    assert {(each.max_queue, each.timeout) for each in traffic} == {(3, 9.0)}
    assert traffic.overload.policy is policy


def test_what_is_held_outlives_a_reload() -> None:
    traffic = TrafficControl(Lifecycle())
    traffic.configure(LimitsConfig(), OverloadPolicy(), {"a": provider(2)})
    slots = traffic.provider("a")
    assert slots.acquire_nowait()
    traffic.configure(LimitsConfig(max_queue=1), OverloadPolicy(), {"a": provider(1)})
    assert traffic.provider("a") is slots
    assert (slots.limit, slots.held, slots.max_queue) == (1, 1, 1)
    assert not slots.acquire_nowait()


def test_a_provider_that_comes_back_begins_with_nothing_held() -> None:
    traffic = TrafficControl(Lifecycle())
    traffic.configure(LimitsConfig(), OverloadPolicy(), {"a": provider(1)})
    old = traffic.provider("a")
    assert old.acquire_nowait()
    traffic.configure(LimitsConfig(), OverloadPolicy(), {})
    assert [each.what for each in traffic] == ["the gateway"]
    traffic.configure(LimitsConfig(), OverloadPolicy(), {"a": provider(1)})
    new = traffic.provider("a")
    assert new is not old
    assert new.acquire_nowait()
    # Who held one of the old ones gives it back to them.
    old.release()
    assert (old.held, new.held) == (0, 1)


async def test_a_higher_limit_serves_who_waits(autojump_clock: MockClock) -> None:
    traffic = TrafficControl(Lifecycle())
    traffic.configure(LimitsConfig(), OverloadPolicy(), {"a": provider(1)})
    slots = traffic.provider("a")
    assert slots.acquire_nowait()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(slots.acquire, "t", math.inf, never)
        await wait_all_tasks_blocked()
        assert slots.waiting == 1
        traffic.configure(LimitsConfig(), OverloadPolicy(), {"a": provider(2)})
    assert (trio.current_time(), slots.held) == (0, 2)


async def test_a_drain_empties_all_queues_and_those_to_come(autojump_clock: MockClock) -> None:
    lifecycle = Lifecycle()
    traffic = TrafficControl(lifecycle)
    traffic.configure(LimitsConfig(max_concurrent=1), OverloadPolicy(), {"a": provider(1)})
    ended = []

    async def wait(which: str) -> None:
        slots = traffic.everyone if which == "everyone" else traffic.provider(which)
        with pytest.raises(ShuttingDown):
            await slots.acquire("t", math.inf, never)
        ended.append(which)

    assert all(slots.acquire_nowait() for slots in traffic)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "everyone")
        nursery.start_soon(wait, "a")
        await wait_all_tasks_blocked()
        lifecycle.start_drain()
        lifecycle.start_drain()
    assert sorted(ended) == ["a", "everyone"]
    late = traffic.provider("new")
    # What is free may be had, but nobody waits any more.
    assert late.acquire_nowait()
    late.limit = 1
    with pytest.raises(Exception, match="too many are waiting"):
        await late.acquire("t", math.inf, never)
    assert trio.current_time() == 0
