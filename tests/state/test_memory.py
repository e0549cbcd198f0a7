from __future__ import annotations

import gc
import weakref

import msgspec
import pytest

from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.limits.ledger import Demand, Grant, LimitRefusal, Scope, ScopeLimits
from gateway.core.records.pricing import Prices
from gateway.core.routing.attempts import RetryPolicy
from gateway.core.routing.balancing.strategies import Balancer, StrategyName
from gateway.core.routing.breaker import BreakerPolicy, BreakerState, Permit
from gateway.core.routing.call import Origin
from gateway.core.routing.causes import Cause
from gateway.core.routing.deployment import Credential, Deployment
from gateway.core.routing.health import Sample
from gateway.core.routing.retry_budget import RetryBudgetPolicy
from gateway.core.routing.target import Target
from gateway.core.routing.timeouts import Timeouts
from gateway.providers.failures import OPENAI_COMPATIBLE
from gateway.state.memory import MemoryState

# Nothing but the rate rule opens it, after two failures.
BY_RATE = BreakerPolicy(consecutive_failures=1000, min_requests=2)


def half() -> float:
    return 0.5


def credential(id: str, label: str = "key 1") -> Credential:
    return Credential(stream_headers=(), plain_headers=(), id=id, label=label)


def deployment(
    model: str,
    *,
    provider: str = "p",
    keys: tuple[Credential, ...] = (credential("k1"),),
    weight: float = 1.0,
    price: float = 1.0,
    pattern: str | None = None,
) -> Deployment:
    return Deployment(
        provider=provider,
        model=model,
        model_json=msgspec.json.encode(model),
        origin=Origin("https", "api.example.com", 443),
        dialect=OPENAI_CHAT,
        target=b"/v1/chat/completions",
        stream_target=b"/v1/chat/completions",
        refusals=OPENAI_COMPATIBLE,
        credentials=keys,
        timeouts=Timeouts(),
        prices=Prices(input=price, output=price),
        weight=weight,
        pattern=pattern,
    )


# Targets and keys...


def test_a_deployment_has_one_target_whoever_asks() -> None:
    state = MemoryState()
    target = state.target(deployment("m"))
    assert state.target(deployment("m", weight=5, price=7)) is target
    assert state.target(deployment("n")) is not target
    assert state.target(deployment("m", provider="q")) is not target
    assert [each.name for each in state.targets] == ["p/m", "p/n", "q/m"]


def test_made_up_names_of_a_pattern_share_one_target() -> None:
    state = MemoryState()
    one = state.target(deployment("gpt-x", pattern="gpt-*"))
    assert state.target(deployment("gpt-y", pattern="gpt-*")) is one
    assert one.name == "p/gpt-*"


def test_the_deployments_of_a_provider_share_their_keys() -> None:
    state = MemoryState()
    one, two = state.target(deployment("m")), state.target(deployment("n"))
    other = state.target(deployment("m", provider="q"))
    (key,) = one.keyring.keys
    assert two.keyring.keys == (key,)
    # The same key at another provider is another's business.
    assert other.keyring.keys != (key,)
    one.keyring.refuse(key, 0, "401", everywhere=True)
    assert [each.available(1) for each in (one, two, other)] == [False, False, True]


def test_what_is_known_of_a_key_outlives_a_change_of_keys() -> None:
    state = MemoryState()
    old, kept = credential("old", "key 1"), credential("kept", "key 2")
    target = state.target(deployment("m", keys=(old, kept)))
    first, second = target.keyring.keys
    target.keyring.limit(second, 0, 60)
    new = credential("new", "key 1")
    moved = credential("kept", "key 3")
    assert state.target(deployment("m", keys=(new, moved))) is target
    assert [(key.id, key.label) for key in target.keyring.keys] == [
        ("new", "key 1"),
        ("kept", "key 3"),
    ]
    assert target.keyring.keys[1] is second
    assert first not in target.keyring.keys
    assert target.keyring.rests(second, 10) == 50


# Balancers...


def balanced(
    state: MemoryState, pool: list[Deployment], strategy: StrategyName = "weighted"
) -> Balancer:
    return state.balancer(strategy, pool, [state.target(each) for each in pool])


def test_a_pool_of_the_same_shape_keeps_its_balancer() -> None:
    state = MemoryState()
    pool = [deployment("a", weight=2), deployment("b")]
    first = balanced(state, pool)
    assert balanced(state, [deployment("a", weight=2), deployment("b")]) is first
    # Keys are no part of the shape.
    assert balanced(state, [deployment("a", weight=2, keys=(credential("k2"),)), pool[1]]) is first


@pytest.mark.parametrize(
    ("pool", "strategy"),
    [
        ([deployment("a", weight=3), deployment("b")], "weighted"),
        ([deployment("a", weight=2), deployment("b", price=2)], "weighted"),
        ([deployment("b"), deployment("a", weight=2)], "weighted"),
        ([deployment("a", weight=2)], "weighted"),
        ([deployment("a", weight=2), deployment("b")], "round_robin"),
    ],
)
def test_a_pool_of_another_shape_has_another(
    pool: list[Deployment], strategy: StrategyName
) -> None:
    state = MemoryState()
    first = balanced(state, [deployment("a", weight=2), deployment("b")])
    assert balanced(state, pool, strategy) is not first


def test_a_balancer_looks_at_the_targets_of_its_pool() -> None:
    state = MemoryState()
    pool = [deployment("a"), deployment("b")]
    targets = [state.target(each) for each in pool]
    balancer = state.balancer("priority", pool, targets)
    assert list(balancer.order(0, half)) == [0, 1]
    (key,) = targets[0].keyring.keys
    targets[0].keyring.refuse(key, 0, "403", everywhere=False)
    assert not targets[0].available(0)
    assert list(balancer.order(0, half)) == [1, 0]


# Reloads...


def test_retain_forgets_what_is_gone_and_keeps_the_rest() -> None:
    state = MemoryState()
    k1, k2 = credential("k1"), credential("k2")
    kept_pool = [deployment("a"), deployment("b")]
    gone_pool = [deployment("a"), deployment("c", keys=(k1, k2))]
    kept_balancer, gone_balancer = balanced(state, kept_pool), balanced(state, gone_pool)
    a, b, c = (state.target(each) for each in (*kept_pool, gone_pool[1]))
    shared, own = c.keyring.keys
    for key in (shared, own):
        key.set_aside(0, "401")
    state.retain([a, b], [])
    assert list(state.targets) == [a, b]
    assert [state.target(each) for each in kept_pool] == [a, b]
    assert balanced(state, kept_pool) is kept_balancer
    # What comes back is new, but a key that others had all the while is not.
    again = state.target(gone_pool[1])
    assert again is not c
    assert again.keyring.keys[0] is shared
    assert again.keyring.keys[1] is not own
    assert again.keyring.keys[1].refused is None
    found = state.balancer("weighted", gone_pool, [a, again])
    assert found is not gone_balancer
    # It looks at the new one, of which one key is good.
    assert not a.available(1)
    assert list(found.order(1, half)) == [1, 0]


def test_requests_in_flight_keep_what_is_forgotten() -> None:
    state = MemoryState()
    target = state.target(deployment("a"))
    assert target.enter(0) is Permit.NORMAL
    state.retain([], [])
    assert list(state.targets) == []
    state.leave(target, Permit.NORMAL, Sample(None), 1, half, pool=[target])
    assert target.in_flight == 0


def test_configure_reaches_what_is_there_and_what_comes() -> None:
    state = MemoryState(BreakerPolicy(consecutive_failures=5))
    target = state.target(deployment("a"))
    target.breaker.leave(Permit.NORMAL, True, 0, half)
    breaker = BreakerPolicy(consecutive_failures=2)
    budget = RetryBudgetPolicy(ratio=0.7)
    state.configure(breaker, RetryPolicy(budget=budget))
    for each in (target, state.target(deployment("b"))):
        assert each.breaker.policy is breaker
        assert each.retries.policy is budget
    # What has been learned stays: this is the second failure in a row.
    target.breaker.leave(Permit.NORMAL, True, 1, half)
    assert target.breaker.state(1) is BreakerState.OPEN


def test_policies_of_the_start() -> None:
    breaker, budget = BreakerPolicy(open_time=9), RetryBudgetPolicy(ratio=0.9)
    target = MemoryState(breaker, RetryPolicy(budget=budget)).target(deployment("a"))
    assert target.breaker.policy is breaker
    assert target.retries.policy is budget
    plain = MemoryState().target(deployment("a"))
    assert plain.breaker.policy == BreakerPolicy()
    assert plain.retries.policy == RetryPolicy().budget


def test_a_model_keeps_its_hedge_cap_as_long_as_somebody_has_it() -> None:
    state = MemoryState()
    cap = state.hedge_cap("m")
    assert cap.spend()
    assert state.hedge_cap("m") is cap
    assert state.hedge_cap("n") is not cap
    gone = weakref.ref(cap)
    del cap
    gc.collect()
    assert gone() is None
    fresh = state.hedge_cap("m")
    assert [fresh.spend() for _ in range(4)] == [True, True, True, False]


# The rule by rate...


@pytest.mark.parametrize(("size", "out"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (10, 5)])
async def test_half_of_a_pool_at_most_is_left_out_for_its_rate(size: int, out: int) -> None:
    state = MemoryState(BY_RATE)
    pool = [state.target(deployment(f"m{number}")) for number in range(size)]
    for now in range(4):
        for target in pool:
            await failing(state, target, pool, float(now))
    assert [each.breaker.closed for each in pool] == [False] * out + [True] * (size - out)


async def test_without_a_pool_nobody_is_left_out_for_its_rate() -> None:
    state = MemoryState(BY_RATE)
    target = state.target(deployment("m"))
    for _ in range(10):
        await failing(state, target, [], 0)
    assert target.breaker.closed


async def test_one_that_is_out_for_failures_in_a_row_takes_no_place() -> None:
    state = MemoryState(BY_RATE)
    pool = [state.target(deployment(name)) for name in ("a", "b")]
    pool[0].breaker.trip(0, half)
    assert not pool[0].breaker.closed
    for _ in range(2):
        await failing(state, pool[1], pool, 0)
    assert not pool[1].breaker.closed


async def failing(state: MemoryState, target: Target, pool: list[Target], now: float) -> None:
    permit = await state.enter(target, now)
    if permit is not None:
        state.leave(target, permit, Sample(Cause.SERVER_ERROR), now, half, pool=pool)


# Attempts and limits...


async def test_an_attempt_enters_and_leaves() -> None:
    state = MemoryState(BreakerPolicy(consecutive_failures=1, open_time=5))
    target = state.target(deployment("m"))
    permit = await state.enter(target, 0)
    assert permit is Permit.NORMAL
    assert target.in_flight == 1
    state.leave(target, permit, Sample(Cause.SERVER_ERROR), 1, half, retry_after=60, pool=[target])
    assert target.in_flight == 0
    assert await state.enter(target, 60) is None
    assert target.free_at(60) == 61
    assert await state.enter(target, 61) is Permit.PROBE


async def test_what_does_not_count_opens_nothing() -> None:
    state = MemoryState(BreakerPolicy(consecutive_failures=1))
    target = state.target(deployment("m"))
    permit = await state.enter(target, 0)
    assert permit is not None
    state.leave(target, permit, Sample(Cause.SERVER_ERROR), 1, half, counts=False)
    assert target.breaker.closed


async def test_limits_are_kept_by_scope_and_forgotten_with_it() -> None:
    state = MemoryState()
    scope = Scope("token:a", ScopeLimits(rpm=10, tpm=1000, max_concurrent=1))
    grant = await state.admit([scope], Demand(tokens=100), 0, 0)
    assert isinstance(grant, Grant)
    assert repr(state) == "<MemoryState 0 targets, 1 held>"
    assert isinstance(await state.admit([scope], Demand(), 0, 0), LimitRefusal)
    state.settle(grant, 400, 0, 0, 0)
    assert repr(state) == "<MemoryState 0 targets, 0 held>"
    standing = state.standing(scope, 0)
    assert standing.tokens is not None
    assert standing.tokens.remaining == 600
    grant = await state.admit([scope], Demand(tokens=100), 0, 0)
    assert isinstance(grant, Grant)
    state.void(grant, 0, 0)
    again = state.standing(scope, 0)
    assert again == standing
    state.retain([], ["token:a"])
    assert state.standing(scope, 0) == standing
    state.retain([], [])
    fresh = state.standing(scope, 0)
    assert fresh.tokens is not None
    assert fresh.tokens.remaining == 1000
