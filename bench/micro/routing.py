"""What a whole decision costs: authenticate, admit, order the deployments, take a place.

With 100 deployments behind one model and 100,000 tokens, each with all limits: the time from
key to the first deployment that is to be called. What follows the answer is measured apart.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Final, get_args

import trio

from gateway.config.keys.tables import Token
from gateway.config.schema import Config, LimitsConfig, Model, Route
from gateway.config.snapshot import Snapshot, build_snapshot
from gateway.core.cache.answers import CachePolicy
from gateway.core.limits.budget import Budget
from gateway.core.limits.ledger import Demand, LimitRefusal
from gateway.core.routing.attempts import Attempts
from gateway.core.routing.balancing.strategies import StrategyName
from gateway.core.routing.blame.source import Source
from gateway.core.routing.causes import Try
from gateway.core.routing.deployment import Deployment
from gateway.core.routing.health import Sample
from gateway.lifecycle import Lifecycle
from gateway.providers.kind import Place, RouteTerms
from gateway.providers.registry import KINDS
from gateway.providers.settings import Provider
from gateway.proxy.access import authenticate, authorize
from gateway.proxy.attempts.lease import AttemptLease, acquire_lease
from gateway.proxy.cache.response_cache import ResponseCache
from gateway.proxy.reservation import Reservation
from gateway.proxy.services import Services
from gateway.proxy.traffic.control import TrafficControl
from gateway.state.health import LocalHealth
from gateway.state.limits import MemoryLimits

TOKENS: Final = 100_000
DEPLOYMENTS: Final = 100
ROUNDS: Final = 2_000
DEMAND: Final = Demand(tokens=1500, cost=20_000_000)


def run() -> dict[str, float]:
    """Return µs per request, by what was measured."""
    return trio.run(_run)


async def _run() -> dict[str, float]:
    results: dict[str, float] = {}
    health = LocalHealth()
    services = Services(
        upstream=_nothing(),
        limits=MemoryLimits(),
        health=health,
        traffic=TrafficControl(Lifecycle()),
        cache=ResponseCache(CachePolicy()),
        recorder=_nothing(),
        lifecycle=Lifecycle(),
        rng=random.random,
    )
    for strategy in get_args(StrategyName):
        snapshot = build_snapshot(_config(strategy), _describe, 0, health)
        decide = await _best(services, snapshot)
        for what, micros in decide.items():
            results[f"{strategy}: {what}"] = micros
    return results


async def _best(services: Services, snapshot: Snapshot) -> dict[str, float]:
    decided = left = float("inf")
    for _ in range(3):
        going = finishing = 0.0
        for number in range(ROUNDS):
            key = b"sk-%06d" % (number * 7919 % TOKENS)
            start = time.perf_counter()
            reservation, place = await _decide(services, snapshot, key)
            going += time.perf_counter() - start
            start = time.perf_counter()
            await place.leave(Sample(None, 1.0, 0.5), (), 800)
            services.traffic.everyone.release()
            await reservation.settle(800, 12_000_000)
            finishing += time.perf_counter() - start
        decided, left = min(decided, going), min(left, finishing)
    return {
        "decision": decided / ROUNDS * 1e6,
        "settling": left / ROUNDS * 1e6,
    }


async def _decide(
    services: Services, snapshot: Snapshot, key: bytes
) -> tuple[Reservation, AttemptLease]:
    """Do what a request does before its first call, and nothing else."""
    caller = authenticate(snapshot, key, time.time())
    model = authorize(snapshot, caller, "m")
    now, rng = trio.current_time(), services.rng
    granted = await services.limits.admit(caller.scopes, DEMAND)
    assert not isinstance(granted, LimitRefusal)
    assert services.traffic.everyone.acquire_nowait()
    attempts = Attempts(
        model.retry,
        model.order(now, rng, caller.digest),
        model.deadlines(now, now + 600, lambda: 0.0),
    )
    step = attempts.first(now, rng)
    assert isinstance(step, Try)
    place = await acquire_lease(
        services,
        snapshot,
        model.deployments[step.target],
        model.targets[step.target],
        caller=caller.name,
        demand=DEMAND,
        deadline=now + 600,
        later=False,
        source=Source(caller.name, b"{}"),
    )
    assert isinstance(place, AttemptLease)
    return Reservation(services.limits, granted), place


def _config(strategy: StrategyName) -> Config:
    routes = tuple(
        Route(provider="p", model=f"real-{number}", input_price=float(number), weight=1.0)
        for number in range(DEPLOYMENTS)
    )
    return Config(
        providers={"p": Provider(kind="openai", base_url="http://127.0.0.1:9/v1", api_key="k")},
        models=(Model(name="m", routes=routes, strategy=strategy, sticky_by=("token",)),),
        limits=LimitsConfig(rpm=10**9, tpm=10**12, max_concurrent=10**6),
        tokens=_TOKENS,
    )


_TOKENS: Final = tuple(
    Token(
        name=f"t{number}",
        key=f"sk-{number:06d}",
        rpm=100_000,
        tpm=10**9,
        max_concurrent=10_000,
        budget=Budget(usd=1e8),
    )
    for number in range(TOKENS)
)


def _describe(name: str, provider: Provider, terms: RouteTerms) -> Deployment:
    assert provider.base_url is not None
    place = Place(provider.base_url, b"bench")
    return KINDS[provider.kind].describe(name, provider, place, terms)


def _nothing() -> Any:
    """Stand in for what a decision never touches."""
    unused: Callable[[], None] = lambda: None  # noqa: E731
    return unused
