"""The table `[cors]`: which web pages may call."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Cors(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which web pages may call from a browser (Fetch standard, "CORS protocol"). Off by default.

    `*` in `allow_headers` stands for every header a page asks for: the standard's own `*` leaves
    out Authorization. `max_age` is seconds that a browser may remember a preflight.
    """

    allow_origins: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ("GET", "POST")
    allow_headers: tuple[str, ...] = ("*",)
    expose_headers: tuple[str, ...] = (
        *("x-request-id", "x-should-retry", "retry-after", "retry-after-ms"),
        *("x-gateway-provider", "x-gateway-model", "x-gateway-attempts", "x-gateway-cache"),
        *(
            "x-gateway-fallback",
            "x-gateway-dropped",
            "x-gateway-skipped",
            "x-provider-request-id",
            "request-id",
        ),
        *("x-ratelimit-limit-requests", "x-ratelimit-limit-tokens"),
        *("x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens"),
        *("x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"),
        *("x-gateway-budget-limit-usd", "x-gateway-budget-remaining-usd"),
        "x-gateway-budget-reset",
    )
    max_age: Annotated[int, Meta(ge=0, le=86_400)] = 600
    allow_credentials: bool = False
