"""What deciding on the limits of a request costs: `python -m bench.micro.admission`.

With the accounts of 100,000 tokens open. A request passes a token with all four limits, and the
two that everybody shares.
"""

from __future__ import annotations

import itertools
import random
import sys
import time
import timeit
from collections.abc import Callable
from typing import Final

from gateway.core.limits.budget import Budget
from gateway.core.limits.estimate import estimate_tokens
from gateway.core.limits.headers import rate_limit_headers
from gateway.core.limits.ledger import Demand, Grant, Ledger, LimitRefusal, Scope, ScopeLimits

TOKENS: Final = 100_000
GRANTS: Final = 20_000
DEMAND: Final = Demand(tokens=1500, cost=20_000_000)
EPOCH: Final = 1_790_000_000.0
SHARED: Final = Scope("global", ScopeLimits(rpm=10**9, tpm=10**12))


def run() -> dict[str, float]:
    """Return µs per call, by what was measured."""
    limits = ScopeLimits(rpm=100_000, tpm=10**9, max_concurrent=10_000)
    budget = Budget(usd=1e8)
    scopes = [Scope(f"token:{number}", limits, budget) for number in range(TOKENS)]
    ledger = Ledger()
    before = time.perf_counter()
    for scope in scopes:
        ledger.settle(_granted(ledger, (scope, SHARED), 0.0), 800, 12_000_000, 0.0, EPOCH)
    results = {"first request of a token": (time.perf_counter() - before) / TOKENS * 1e6}
    rng = random.Random(1)
    results |= _grants(ledger, [(scope, SHARED) for scope in rng.choices(scopes, k=GRANTS)])
    one = (scopes[0], SHARED)
    results["status of two scopes, headers"] = _best(
        lambda: rate_limit_headers([ledger.status(scope, 1.0) for scope in one])
    )
    clock = itertools.count(2)
    tight = (Scope("token:tight", ScopeLimits(rpm=1, tpm=1000, max_concurrent=1)), SHARED)
    ledger.admit(tight, Demand(tokens=500), 1.0, EPOCH)
    results["admit: refused"] = _best(
        lambda: ledger.admit(tight, DEMAND, 1.0 + next(clock) * 1e-9, EPOCH)
    )
    free = (Scope("token:free", ScopeLimits()),)
    results["admit and settle: no limits"] = _best(
        lambda: ledger.settle(_granted(ledger, free, 1.0), 1, 1, 1.0, EPOCH)
    )
    prompt = b'{"messages":[{"role":"user","content":"' + b"The quick brown fox. " * 700 + b'"}]}'
    image = b'"data:image/png;base64,' + b"QUJD" * 7_500_000 + b'"'
    results["estimate: 15 KB"] = _best(lambda: estimate_tokens(prompt, 500))
    results["estimate: 30 MB of an image"] = _best(lambda: estimate_tokens(image, 500))
    marks = b'";base64,' * 3_300_000
    results["estimate: 30 MB of nothing but marks"] = _best(lambda: estimate_tokens(marks, 500))
    return results


def _grants(ledger: Ledger, pairs: list[tuple[Scope, Scope]]) -> dict[str, float]:
    """Measure apart what only works in turn: admit many at random, settle or void them all."""
    admit = settle = void = sys.float_info.max
    for turn in range(5):
        now = 60.0 * turn
        start = time.perf_counter()
        grants = [ledger.admit(pair, DEMAND, now, EPOCH) for pair in pairs]
        admitted = time.perf_counter()
        assert not any(isinstance(grant, LimitRefusal) for grant in grants)
        admit = min(admit, admitted - start)
        held = [grant for grant in grants if isinstance(grant, Grant)]
        start = time.perf_counter()
        for grant in held[::2]:
            ledger.settle(grant, 800, 12_000_000, now, EPOCH)
        settled = time.perf_counter()
        for grant in held[1::2]:
            ledger.void(grant, now, EPOCH)
        voided = time.perf_counter()
        settle, void = min(settle, settled - start), min(void, voided - settled)
    assert ledger.held() == 0
    return {
        "admit: two scopes, six limits": admit / GRANTS * 1e6,
        "settle": settle / GRANTS * 2e6,
        "void": void / GRANTS * 2e6,
    }


def _granted(ledger: Ledger, scopes: tuple[Scope, ...], now: float) -> Grant:
    grant = ledger.admit(scopes, DEMAND, now, EPOCH)
    assert isinstance(grant, Grant)
    return grant


def _best(function: Callable[[], object]) -> float:
    """Return the best time of `function` in µs."""
    timer = timeit.Timer(function)
    number = max(1, timer.autorange()[0] // 10)
    return min(timer.repeat(repeat=9, number=number)) / number * 1e6


def main() -> None:
    for name, micros in run().items():
        print(f"{name:<36} {micros:8.2f} µs")


if __name__ == "__main__":
    main()
