"""When a breaker opens, and how it closes again: what the configuration says."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class BreakerPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a breaker opens, and how it closes again.

    consecutive_failures  failures in a row that open it; Envoy's 5
    failure_rate          share of failures that opens it, of at least `min_requests` requests
                          in `window` seconds
    open_time             seconds it stays open at first; doubles each time in a row up to...
    max_open_time         ...this, before a jitter of a fifth either way
    successes             good probes that close it
    slow_start            seconds until a closed one has its full weight again; 0 is off

    The first two are for requests that could go elsewhere; `rates.py` has those for the others.
    A provider that is back must serve again within 30 s: 18 s with the jitter and 10 s of slow
    start leave two for the probes.
    """

    enabled: bool = True
    consecutive_failures: Annotated[int, Meta(ge=1)] = 5
    failure_rate: Annotated[float, Meta(gt=0, le=1)] = 0.5
    min_requests: Annotated[int, Meta(ge=1)] = 20
    window: Annotated[float, Meta(ge=1)] = 30.0
    open_time: Annotated[float, Meta(ge=0.01)] = 5.0
    max_open_time: Annotated[float, Meta(ge=0.01, le=3600)] = 15.0
    successes: Annotated[int, Meta(ge=1)] = 2
    slow_start: Annotated[float, Meta(ge=0)] = 10.0
