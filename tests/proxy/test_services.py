"""A reload as the process sees it: what follows the configuration and what stays."""

from __future__ import annotations

import hashlib

import trio
from trio.testing import MockClock

from gateway.config.callers import Caller
from gateway.config.schema import Config, LimitsConfig
from gateway.core.cache.answers import CachePolicy
from gateway.core.limits import ledger
from gateway.core.limits.ledger import Scope
from gateway.core.limits.shedding import OverloadPolicy
from gateway.core.routing.attempts import RetryPolicy
from gateway.core.routing.breaker.policy import BreakerPolicy
from gateway.core.routing.retry_budget import RetryBudgetPolicy
from gateway.providers.settings import Provider

from .scripts import ok, status
from .world import KEY, World, snapshot_of

PROVIDER = Provider(kind="demo", max_concurrent=3)


def limited(name: str, rpm: int = 5) -> Caller:
    scope = Scope(f"token:{name}", ledger.ScopeLimits(rpm=rpm))
    return Caller(
        name=name,
        digest=hashlib.sha256(KEY).digest(),
        models=frozenset(),
        beginnings=("",),
        scopes=(scope,),
        limited=True,
    )


async def test_policies_follow_the_configuration(autojump_clock: MockClock) -> None:
    world = World([("a", ok())])
    budget = RetryBudgetPolicy(ratio=0.5)
    config = Config(
        breaker=BreakerPolicy(consecutive_failures=2),
        retry=RetryPolicy(budget=budget),
        limits=LimitsConfig(max_concurrent=9, max_queue=4, queue_timeout=1.5),
        overload=OverloadPolicy(max_in_flight=77),
        cache=CachePolicy(max_bytes=1234),
        providers={"a": PROVIDER},
    )
    world.services.configure(config, world.snapshot)
    (target,) = world.state.health.targets
    assert target.breaker.policy.consecutive_failures == 2
    assert target.retries.policy is budget
    assert [slots.limit for slots in world.traffic] == [9, 3]
    assert world.traffic.overload.policy.max_in_flight == 77
    assert world.cache.store.policy.max_bytes == 1234
    await world.run()
    assert world.causes == ["ok"]


async def test_what_is_still_there_keeps_what_was_learned(autojump_clock: MockClock) -> None:
    before = World(
        [("a", status(503)), ("b", ok())], routes=["a", "b"], callers=[limited("one", rpm=2)]
    )
    await before.run()
    a, b = before.state.health.targets
    state = before.state
    after = World([], routes=["a"], state=state, callers=[limited("one", rpm=2)])
    after.services.configure(Config(providers={"a": PROVIDER}), after.snapshot)
    await after.services.forget_limits(after.snapshot)
    assert list(state.health.targets) == [a]
    assert a.health.consecutive_failures == 1
    left = state.limits.ledger.status(limited("one", rpm=2).scopes[0], trio.current_time())
    assert left.requests is not None
    assert left.requests.remaining == 1
    assert b not in set(state.health.targets)


async def test_what_is_gone_is_forgotten_once_nothing_of_it_is_held(
    autojump_clock: MockClock,
) -> None:
    world = World([("a", ok(after=2))], callers=[limited("one")])
    (old,) = world.state.health.targets
    other = snapshot_of(*world.deployments[:0], state=world.state, callers=[limited("two")])
    services = world.services
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.exchange)
        await trio.sleep(1)
        services.configure(Config(), other)
        await services.forget_limits(other)
        # The request in flight still counts, and ends as it began.
        assert [account.scope.key for account in world.state.limits.ledger] == ["token:one"]
        assert (old.in_flight, list(world.state.health.targets)) == (1, [])
    assert (old.in_flight, world.causes) == (0, ["ok"])
    services.configure(Config(), other)
    await services.forget_limits(other)
    assert list(world.state.limits.ledger) == []
    assert [slots.held for slots in world.traffic] == [0]
