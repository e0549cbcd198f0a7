from __future__ import annotations

import gc
import weakref
from typing import Any

import msgspec
import pytest

from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.records.pricing import Prices
from gateway.core.routing.attempts import RetryPolicy
from gateway.core.routing.balancing.strategies import Balancer, StrategyName
from gateway.core.routing.blame.source import Source
from gateway.core.routing.breaker.policy import BreakerPolicy
from gateway.core.routing.breaker.states import BreakerState, Permit
from gateway.core.routing.call import Origin
from gateway.core.routing.causes import Cause, Skipped, SkipReason
from gateway.core.routing.deployment import Credential, Deployment
from gateway.core.routing.entered import Entered
from gateway.core.routing.health import DeploymentStatus, KeyStatus, Sample
from gateway.core.routing.hedging import MIN_SAMPLES
from gateway.core.routing.retry_budget import RetryBudgetPolicy
from gateway.core.routing.target import Target
from gateway.core.routing.timeouts import Timeouts
from gateway.providers.failures import OPENAI_COMPATIBLE
from gateway.state.health import LocalHealth

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


DEPLOYMENT = deployment("m")


def enter(health: LocalHealth, target: Target, now: float, **how: Any) -> Entered:
    """Begin an attempt that nothing is in the way of."""
    found = health.enter(target, DEPLOYMENT, now, **how)
    assert isinstance(found, Entered)
    return found


def skipped(health: LocalHealth, target: Target, now: float, **how: Any) -> Skipped:
    """Return what is in the way of an attempt."""
    found = health.enter(target, DEPLOYMENT, now, **how)
    assert isinstance(found, Skipped)
    return found


def failing(health: LocalHealth, target: Target, pool: list[Target], now: float) -> None:
    found = health.enter(target, DEPLOYMENT, now)
    if isinstance(found, Entered):
        health.leave(found, Sample(Cause.SERVER_ERROR), now, half, pool=pool)


# Targets and keys...


def test_a_deployment_has_one_target_whoever_asks() -> None:
    health = LocalHealth()
    target = health.target(deployment("m"))
    assert health.target(deployment("m", weight=5, price=7)) is target
    assert health.target(deployment("n")) is not target
    assert health.target(deployment("m", provider="q")) is not target
    assert [each.name for each in health.targets] == ["p/m", "p/n", "q/m"]


def test_made_up_names_of_a_pattern_share_one_target() -> None:
    health = LocalHealth()
    one = health.target(deployment("gpt-x", pattern="gpt-*"))
    assert health.target(deployment("gpt-y", pattern="gpt-*")) is one
    assert one.name == "p/gpt-*"


def test_the_deployments_of_a_provider_share_their_keys() -> None:
    health = LocalHealth()
    one, two = health.target(deployment("m")), health.target(deployment("n"))
    other = health.target(deployment("m", provider="q"))
    (key,) = one.keyring.keys
    assert two.keyring.keys == (key,)
    # The same key at another provider is another's business.
    assert other.keyring.keys != (key,)
    one.keyring.refuse(key, 0, "401", everywhere=True)
    assert [each.available(1) for each in (one, two, other)] == [False, False, True]


def test_what_is_known_of_a_key_outlives_a_change_of_keys() -> None:
    health = LocalHealth()
    old, kept = credential("old", "key 1"), credential("kept", "key 2")
    target = health.target(deployment("m", keys=(old, kept)))
    first, second = target.keyring.keys
    target.keyring.limit(second, 0, 60)
    new = credential("new", "key 1")
    moved = credential("kept", "key 3")
    assert health.target(deployment("m", keys=(new, moved))) is target
    assert [(key.id, key.label) for key in target.keyring.keys] == [
        ("new", "key 1"),
        ("kept", "key 3"),
    ]
    assert target.keyring.keys[1] is second
    assert first not in target.keyring.keys
    assert target.keyring.rests(second, 10) == 50


# Balancers...


def balanced(
    health: LocalHealth, pool: list[Deployment], strategy: StrategyName = "weighted"
) -> Balancer:
    return health.balancer(strategy, pool, [health.target(each) for each in pool])


def test_a_pool_of_the_same_shape_keeps_its_balancer() -> None:
    health = LocalHealth()
    pool = [deployment("a", weight=2), deployment("b")]
    first = balanced(health, pool)
    assert balanced(health, [deployment("a", weight=2), deployment("b")]) is first
    # Keys are no part of the shape.
    assert balanced(health, [deployment("a", weight=2, keys=(credential("k2"),)), pool[1]]) is first


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
    health = LocalHealth()
    first = balanced(health, [deployment("a", weight=2), deployment("b")])
    assert balanced(health, pool, strategy) is not first


def test_a_balancer_looks_at_the_targets_of_its_pool() -> None:
    health = LocalHealth()
    pool = [deployment("a"), deployment("b")]
    targets = [health.target(each) for each in pool]
    balancer = health.balancer("priority", pool, targets)
    assert list(balancer.order(0, half)) == [0, 1]
    (key,) = targets[0].keyring.keys
    targets[0].keyring.refuse(key, 0, "403", everywhere=False)
    assert not targets[0].available(0)
    assert list(balancer.order(0, half)) == [1, 0]


# Reloads...


def test_retain_forgets_what_is_gone_and_keeps_the_rest() -> None:
    health = LocalHealth()
    k1, k2 = credential("k1"), credential("k2")
    kept_pool = [deployment("a"), deployment("b")]
    gone_pool = [deployment("a"), deployment("c", keys=(k1, k2))]
    kept_balancer, gone_balancer = balanced(health, kept_pool), balanced(health, gone_pool)
    a, b, c = (health.target(each) for each in (*kept_pool, gone_pool[1]))
    shared, own = c.keyring.keys
    for key in (shared, own):
        key.set_aside(0, "401")
    health.retain([a, b])
    assert list(health.targets) == [a, b]
    assert [health.target(each) for each in kept_pool] == [a, b]
    assert balanced(health, kept_pool) is kept_balancer
    # What comes back is new, but a key that others had all the while is not.
    again = health.target(gone_pool[1])
    assert again is not c
    assert again.keyring.keys[0] is shared
    assert again.keyring.keys[1] is not own
    assert again.keyring.keys[1].refused is None
    found = health.balancer("weighted", gone_pool, [a, again])
    assert found is not gone_balancer
    # It looks at the new one, of which one key is good.
    assert not a.available(1)
    assert list(found.order(1, half)) == [1, 0]


def test_requests_in_flight_keep_what_is_forgotten() -> None:
    health = LocalHealth()
    target = health.target(deployment("a"))
    entered = enter(health, target, 0)
    assert target.in_flight == 1
    health.retain([])
    assert list(health.targets) == []
    health.leave(entered, Sample(None), 1, half, pool=[target])
    assert target.in_flight == 0


def test_configure_reaches_what_is_there_and_what_comes() -> None:
    health = LocalHealth(BreakerPolicy(consecutive_failures=5))
    target = health.target(deployment("a"))
    target.breaker.leave(Permit.NORMAL, True, 0, half)
    breaker = BreakerPolicy(consecutive_failures=2)
    budget = RetryBudgetPolicy(ratio=0.7)
    health.configure(breaker, RetryPolicy(budget=budget))
    for each in (target, health.target(deployment("b"))):
        assert each.breaker.policy is breaker
        assert each.retries.policy is budget
    # What has been learned stays: this is the second failure in a row.
    target.breaker.leave(Permit.NORMAL, True, 1, half)
    assert target.breaker.state(1) is BreakerState.OPEN


def test_policies_of_the_start() -> None:
    breaker, budget = BreakerPolicy(open_time=9), RetryBudgetPolicy(ratio=0.9)
    target = LocalHealth(breaker, RetryPolicy(budget=budget)).target(deployment("a"))
    assert target.breaker.policy is breaker
    assert target.retries.policy is budget
    plain = LocalHealth().target(deployment("a"))
    assert plain.breaker.policy == BreakerPolicy()
    assert plain.retries.policy == RetryPolicy().budget


def test_a_model_keeps_its_hedge_cap_as_long_as_somebody_has_it() -> None:
    health = LocalHealth()
    cap = health.hedge_cap("m")
    assert cap.spend()
    assert health.hedge_cap("m") is cap
    assert health.hedge_cap("n") is not cap
    gone = weakref.ref(cap)
    del cap
    gc.collect()
    assert gone() is None
    fresh = health.hedge_cap("m")
    assert [fresh.spend() for _ in range(4)] == [True, True, True, False]


# The rule by rate...


# One alone is out as well, and so is the last of two: all that they do is fail, and some requests
# are let through to them all the same.
@pytest.mark.parametrize(("size", "out"), [(1, 1), (2, 2), (3, 1), (4, 2), (5, 2), (10, 5)])
def test_half_of_a_pool_at_most_is_left_out_for_its_rate(size: int, out: int) -> None:
    health = LocalHealth(BY_RATE)
    pool = [health.target(deployment(f"m{number}")) for number in range(size)]
    for now in range(4):
        for target in pool:
            failing(health, target, pool, float(now))
    assert [each.breaker.closed for each in pool] == [False] * out + [True] * (size - out)


@pytest.mark.parametrize(("good", "closed"), [(0, False), (1, False), (2, True), (10, True)])
def test_one_alone_is_left_out_only_for_nine_in_ten(good: int, closed: bool) -> None:
    health = LocalHealth(BreakerPolicy(consecutive_failures=1000, min_requests=10))
    target = health.target(deployment("m"))
    for number in range(good + 10):
        cause = None if number < good else Cause.SERVER_ERROR
        entered = enter(health, target, 0, pool=[target])
        health.leave(entered, Sample(cause), 0, half, pool=[target])
    assert target.breaker.closed is closed


def test_without_a_pool_nobody_is_left_out_for_its_rate() -> None:
    health = LocalHealth(BY_RATE)
    target = health.target(deployment("m"))
    for _ in range(10):
        failing(health, target, [], 0)
    assert target.breaker.closed


def test_one_that_is_out_for_failures_in_a_row_takes_no_place() -> None:
    health = LocalHealth(BY_RATE)
    pool = [health.target(deployment(name)) for name in ("a", "b")]
    pool[0].breaker.trip(0, half)
    assert not pool[0].breaker.closed
    for _ in range(2):
        failing(health, pool[1], pool, 0)
    assert not pool[1].breaker.closed


# Attempts...


def test_an_attempt_enters_and_leaves() -> None:
    health = LocalHealth(BreakerPolicy(consecutive_failures=1, open_time=5))
    target = health.target(DEPLOYMENT)
    entered = enter(health, target, 0)
    assert (entered.permit, entered.probes) == (Permit.NORMAL, False)
    assert (entered.key_id, entered.key_label) == ("k1", "key 1")
    assert target.in_flight == 1
    health.leave(entered, Sample(Cause.SERVER_ERROR, retry_after=60), 1, half, pool=[target])
    assert target.in_flight == 0
    assert skipped(health, target, 60) == Skipped(SkipReason.CIRCUIT_OPEN, 61)
    assert health.check(target, 60) == Skipped(SkipReason.CIRCUIT_OPEN, 61)
    assert target.breaker.rejected == 2
    assert health.check(target, 61) is None
    assert enter(health, target, 61).probes


def test_a_probe_that_has_answered_is_none_any_more() -> None:
    health = LocalHealth(BreakerPolicy(consecutive_failures=1, open_time=5, successes=1))
    target = health.target(DEPLOYMENT)
    failing(health, target, [], 0)
    probe = enter(health, target, 5)
    assert skipped(health, target, 5).why is SkipReason.CIRCUIT_OPEN
    health.answered(probe, 6, half)
    health.answered(probe, 6, half)
    assert (probe.permit, probe.probes) == (Permit.NORMAL, True)
    assert target.breaker.closed
    health.leave(probe, Sample(None), 7, half)
    assert (target.breaker.closed, target.in_flight) == (True, 0)


def test_while_one_caller_is_kept_out_others_come_one_at_a_time_if_they_have_a_choice() -> None:
    """It may be the deployment, which a crowd would only keep from recovering."""
    health = LocalHealth(BreakerPolicy(consecutive_failures=2))
    pool = [health.target(deployment(name)) for name in ("a", "b")]
    target = pool[0]
    one, other = Source("one", b"{}"), Source("other", b"{}")
    for _ in range(2):
        entered = enter(health, target, 0, source=one)
        health.leave(entered, Sample(Cause.SERVER_ERROR), 0, half, pool=pool)
    first = enter(health, target, 0, source=other, pool=pool)
    assert (first.trial, first.probes) == (True, True)
    refused = Skipped(SkipReason.CIRCUIT_OPEN, 1)
    assert health.check(target, 0, other, pool=pool) == refused
    # The other route is gone: now ten come at once, and two more each second.
    pool[1].breaker.trip(0, half)
    more = [enter(health, target, 0, source=other, pool=pool) for _ in range(9)]
    assert all((each.trial, each.probes) == (True, False) for each in more)
    assert skipped(health, target, 0, source=other, pool=pool) == Skipped(
        SkipReason.CIRCUIT_OPEN, 5
    )
    # The first answer ends all doubt.
    health.answered(more[0], 1, half)
    assert not enter(health, target, 1, source=other, pool=pool).trial
    for each in (first, *more):
        health.leave(each, Sample(Cause.CLIENT_GONE), 1, half, pool=pool)
    assert (target.suspects.trials, target.suspects.others.under_way) == (0, 0)


def test_a_caller_that_is_kept_out_everywhere_is_throttled() -> None:
    health = LocalHealth(BreakerPolicy(consecutive_failures=2))
    pool = [health.target(deployment(name)) for name in ("a", "b")]
    one = Source("one", b"{}")
    for target in pool:
        for _ in range(2):
            entered = enter(health, target, 0, source=one, pool=pool)
            health.leave(entered, Sample(Cause.SERVER_ERROR), 0, half, pool=pool)
    assert skipped(health, pool[0], 0.25, source=one, pool=pool).until == 0.5
    held = enter(health, pool[0], 0.5, source=one, pool=pool).held
    assert held is not None
    assert held.permit is Permit.THROTTLED


def test_a_key_at_rest_is_no_alternative() -> None:
    health = LocalHealth(BreakerPolicy(consecutive_failures=2))
    pool = [health.target(deployment("a")), health.target(deployment("b", provider="q"))]
    for _ in range(2):
        failing(health, pool[0], [], 0)
    assert skipped(health, pool[0], 2, pool=pool).until == 5
    limited = enter(health, pool[1], 2)
    health.leave(limited, Sample(Cause.RATE_LIMITED, retry_after=60), 2, half)
    entered = enter(health, pool[0], 2, pool=pool)
    assert entered.permit is Permit.THROTTLED
    health.leave(entered, Sample(None, 0.1, 0.1), 2, half, pool=pool)
    assert pool[0].in_flight == 0


def test_what_does_not_count_opens_nothing() -> None:
    health = LocalHealth(BreakerPolicy(consecutive_failures=1))
    target = health.target(DEPLOYMENT)
    entered = enter(health, target, 0)
    health.leave(entered, Sample(Cause.SERVER_ERROR), 1, half, counts=False)
    assert target.breaker.closed


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_without_a_breaker_the_budget_bounds_the_retries(share: float) -> None:
    health = LocalHealth(BreakerPolicy(enabled=False))
    target, requests, calls = health.target(DEPLOYMENT), 924, 0
    for number in range(requests):
        now = number / 100
        for attempt in range(3):
            entered = health.enter(target, DEPLOYMENT, now, later=attempt > 0)
            if isinstance(entered, Skipped):
                assert entered.why is SkipReason.RETRY_BUDGET
                break
            calls += 1
            failed = number % 10 < 10 * share
            health.leave(entered, Sample(Cause.SERVER_ERROR if failed else None), now, half)
            if not failed:
                break
    # The defaults: a fifth of the first attempts, and one a second of a minute from the start.
    assert calls <= requests + 0.2 * requests + 60 + 3
    assert target.breaker.opens == 0


def test_without_a_breaker_a_steady_deployment_takes_fallbacks_beyond_its_budget() -> None:
    budget = RetryBudgetPolicy(ratio=0, per_second=0, concurrent_min=0, concurrent_ratio=0)
    health = LocalHealth(BreakerPolicy(enabled=False), RetryPolicy(budget=budget))
    target = health.target(DEPLOYMENT)
    for _ in range(20):
        health.leave(enter(health, target, 0, later=True), Sample(None), 0, half)
    # A refusal of the request itself says nothing.
    health.leave(enter(health, target, 0, later=True), Sample(Cause.REJECTED), 0, half)
    for _ in range(3):
        health.leave(enter(health, target, 0), Sample(Cause.SERVER_ERROR), 0, half)
    assert skipped(health, target, 0, later=True).why is SkipReason.RETRY_BUDGET
    # What failed a window ago counts no more.
    assert isinstance(health.enter(target, DEPLOYMENT, 61, later=True), Entered)


def test_later_attempts_are_what_first_ones_have_earned() -> None:
    budget = RetryBudgetPolicy(ratio=0.5, per_second=0, concurrent_min=1)
    health = LocalHealth(retry=RetryPolicy(budget=budget))
    target = health.target(DEPLOYMENT)
    assert skipped(health, target, 0, later=True, hedge=True).why is SkipReason.RETRY_BUDGET
    # One that is well may be asked all the same, but not beside another attempt.
    free = enter(health, target, 0, later=True)
    health.leave(free, Sample(None), 0, half)
    for _ in range(2):
        health.leave(enter(health, target, 0), Sample(None), 0, half)
    paid = enter(health, target, 0, later=True, hedge=True)
    assert target.retries.retries_in_flight == 1
    health.leave(paid, Sample(None), 0, half)
    assert target.retries.retries_in_flight == 0
    assert target.retries.exhausted == 2


def test_a_deployment_without_a_usable_key_is_not_entered() -> None:
    health = LocalHealth()
    two = deployment("m", keys=(credential("k1"), credential("k2", "key 2")))
    target = health.target(two)
    first = enter(health, target, 0)
    assert health.has_another_key(first, 0)
    assert health.keys_rest(first, 0) is None
    health.leave(first, Sample(Cause.RATE_LIMITED, retry_after=9), 1, half)
    second = enter(health, target, 1)
    assert not health.has_another_key(second, 1)
    health.leave(second, Sample(Cause.RATE_LIMITED, retry_after=5), 1, half)
    assert health.keys_rest(second, 2) == 4
    assert skipped(health, target, 2) == Skipped(SkipReason.RATE_LIMITED, 6)
    for at in (6, 10):
        entered = enter(health, target, at)
        health.leave(entered, Sample(Cause.AUTH_FAILED, status=401, error="no"), at, half)
    assert skipped(health, target, 11).why is SkipReason.KEYS_REFUSED


def test_what_reports_show() -> None:
    health = LocalHealth()
    target = health.target(DEPLOYMENT)
    health.leave(enter(health, target, 0), Sample(None, 2.0, 0.5), 2, half)
    refused = Sample(Cause.AUTH_FAILED, 0.1, status=401, error="k1 is wrong")
    health.leave(enter(health, target, 2), refused, 3, half)
    (found,) = health.status(13)
    assert found == DeploymentStatus(
        name="p/m",
        state="closed",
        available=False,
        in_flight=0,
        attempts=2,
        failures={"auth_failed": 1},
        consecutive_failures=target.health.consecutive_failures,
        first_event=0.5,
        opens=0,
        rejected=0,
        retries_in_flight=0,
        retry_budget_exhausted=0,
        keys=[KeyStatus("key 1", True, 20.0)],
    )


def test_the_usual_first_event_needs_samples() -> None:
    health = LocalHealth()
    target = health.target(DEPLOYMENT)
    for _ in range(MIN_SAMPLES):
        assert health.usual_first_event(target) is None
        health.leave(enter(health, target, 0), Sample(None, 2.0, 0.5), 2, half)
    assert health.usual_first_event(target) == 0.5


def test_active_checks_reach_the_provider_s_deployments_only() -> None:
    health = LocalHealth()
    mine, other = health.target(DEPLOYMENT), health.target(deployment("m", provider="pq"))
    health.probe_failed("p", 0, half)
    assert (mine.breaker.closed, other.breaker.closed) == (False, True)
    assert skipped(health, mine, 1).why is SkipReason.CIRCUIT_OPEN
    health.probe_succeeded("p", 1)
    assert enter(health, mine, 1).probes


def test_a_call_for_which_there_was_no_token_says_nothing_of_the_key() -> None:
    health = LocalHealth()
    target = health.target(DEPLOYMENT)
    health.leave(enter(health, target, 0), Sample(Cause.AUTH_FAILED, error="no token"), 0, half)
    assert health.check(target, 0) is None
