"""When so many failures are too many.

A deployment beside others is left out early: its requests lose nothing, since another one
answers them. The last one left is another matter. A provider that fails 30 % has five failures
in a row every few hundred requests, and a breaker that then refuses everything for 5 to 15 s
turns the provider's 70 % into 8 to 23 %. So where there is no other deployment failures in a row
count only together with a rate that cannot be told from an outage.
"""

from __future__ import annotations

from typing import Final

import msgspec

from .policy import BreakerPolicy

# Of a deployment without another beside it: the share of failures that opens its breaker...
ALONE_RATE: Final = 0.9
# ...or so many times `consecutive_failures` in a row, whatever came before in the window: the rate
# of a provider that was well for long takes a whole window to rise. By default that is 20 in a
# row, to which a provider that fails 30 % comes once in 4 * 10^10 requests.
ALONE_ROW: Final = 4
# What lets a breaker close again is a share of failures half as high as what opens it at most:
# one that hovers about the rate would otherwise open and close with every request.
CALM: Final = 0.5


class Tally(msgspec.Struct, frozen=True, gc=False):
    """Requests and failures of a window, and those among them of the caller who fails most."""

    requests: int
    failures: int
    own_requests: int = 0
    own_failures: int = 0


def too_many_in_a_row(policy: BreakerPolicy, row: float, tally: Tally, *, alone: bool) -> bool:
    """Say whether `row` failures in a row open a breaker."""
    if row < policy.consecutive_failures:
        return False
    if not alone or row >= ALONE_ROW * policy.consecutive_failures:
        return True
    return tally.failures / max(1, tally.requests) >= ALONE_RATE


def rate_too_high(policy: BreakerPolicy, tally: Tally, *, alone: bool) -> bool:
    """Say whether the rate opens a breaker.

    If most failures are one caller's, the rate must be too high without that caller as well.
    """
    least = max(policy.failure_rate, ALONE_RATE) if alone else policy.failure_rate
    requests, failures = tally.requests, tally.failures
    # A division, since 0.55 * 20 is a little more than 11, but 11 / 20 is 0.55.
    if requests < policy.min_requests or failures / requests < least:
        return False
    if 2 * tally.own_failures <= failures:
        return True
    others = requests - tally.own_requests
    return others > 0 and (failures - tally.own_failures) / others >= least


def calm(policy: BreakerPolicy, good: float) -> bool:
    """Say whether a breaker may close, now that a share of `good` of the attempts succeeds."""
    return 1.0 - good <= CALM * policy.failure_rate
