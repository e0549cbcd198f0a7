"""How much to turn away when the process as a whole has too much to do.

Nothing below a threshold, everything above a second one, and in between a share that grows
evenly: a step would let all callers in and out together (Envoy's overload manager, "scaled"
triggers).
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ..routing.backoff import Rng
from ..routing.timeouts import Seconds

# The part of `max_in_flight` at which shedding begins; Envoy suggests 0.92 for its heap.
SHED_FROM: Final = 0.92
# Seconds after which a caller that was turned away may come back; spread, or they all do at once.
SOONEST: Final = 1.0
LATEST: Final = 5.0


class OverloadPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When requests are refused for the sake of the others.

    lag            seconds that the event loop is late at which shedding begins; 0 is off
    lag_max        seconds that the event loop is late at which all is shed
    max_in_flight  requests at once; shedding begins at 92 % of them. 0 is off
    max_body_memory  bytes of request bodies at once; 0 is off, None leaves it to the process
    """

    lag: Seconds = 0.25
    lag_max: Seconds = 1.0
    max_in_flight: Annotated[int, Meta(ge=0)] = 0
    max_body_memory: Annotated[int, Meta(ge=0)] | None = None


def shed_probability(policy: OverloadPolicy, lag: float, in_flight: int) -> float:
    """Return the share of requests to refuse; `in_flight` leaves out the one to decide on."""
    share = _share(lag, policy.lag, policy.lag_max) if policy.lag else 0.0
    if policy.max_in_flight:
        limit = policy.max_in_flight
        share = max(share, _share(in_flight, SHED_FROM * limit, limit))
    return share


def come_back(rng: Rng) -> float:
    """Return the seconds to put into the Retry-After of a refusal."""
    return SOONEST + rng() * (LATEST - SOONEST)


def _share(x: float, low: float, high: float) -> float:
    if x >= high:
        # Bounds in the wrong order make a step, at the higher of the two.
        return 1.0 if x >= low else 0.0
    return (x - low) / (high - low) if x > low else 0.0
