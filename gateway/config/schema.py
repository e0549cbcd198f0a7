"""What `config.toml` may say: one Struct a table, unknown keys forbidden.

Every field has a default where a sensible one exists, so that an empty table is valid. Ranges
are part of the types; what spans several tables is checked in `check.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..core.cached import CachePolicy, ModelCache
from ..core.limits.budget import Budget
from ..core.limits.shedding import OverloadPolicy
from ..core.routing.attempts import RetryOverrides, RetryPolicy
from ..core.routing.breaker import BreakerPolicy
from ..core.routing.hedging import HedgePolicy
from ..core.routing.strategies import StrategyName
from ..core.timeouts import Seconds, TimeoutOverrides, Timeouts

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Price = Annotated[float, Meta(ge=0)]
Name = Annotated[str, Meta(min_length=1, max_length=256)]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Server(Table, frozen=True):
    bind: str = "127.0.0.1:8080"
    max_body_bytes: Annotated[int, Meta(ge=1024)] = 32 * 1024 * 1024
    max_event_bytes: Annotated[int, Meta(ge=1024)] = 16 * 1024 * 1024
    max_response_bytes: Annotated[int, Meta(ge=1024)] = 64 * 1024 * 1024
    body_timeout: Positive = 30.0
    send_timeout: Positive = 30.0
    header_timeout: Positive = 10.0
    keep_alive_timeout: Positive = 75.0
    keep_alive_comment: Seconds = 15.0
    drain_delay: Seconds = 5.0
    drain_timeout: Seconds = 120.0
    request_id_header: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]*\Z", max_length=64)] = (
        "x-request-id"
    )
    # Relative to the configuration file; "" = none.
    pid_file: str = "gateway.pid"


class Limits(Table, frozen=True):
    """What is let through of everybody's requests together.

    rpm, tpm and max_concurrent are unlimited when absent. The queue is also the one of every
    provider's own `max_concurrent`: how many may wait for a place, and for how many seconds.
    """

    rpm: Count | None = None
    tpm: Count | None = None
    max_concurrent: Count | None = None
    max_queue: Annotated[int, Meta(ge=0)] = 100
    queue_timeout: Seconds = 2.0


class Probe(Table, frozen=True):
    """An active health check: GET `path` below the provider's base_url, every `interval` seconds.

    Any answer below 500 is a sign of life. `failures` in a row open the breakers of all the
    provider's deployments.
    """

    path: Annotated[str, Meta(pattern=r"^/[!-~]*\Z", description="a path such as /models")] = (
        "/models"
    )
    interval: Annotated[float, Meta(ge=0.1)] = 10.0
    timeout: Positive = 5.0
    failures: Count = 3


class Provider(Table, frozen=True):
    kind: Literal["openai", "demo"]
    base_url: str | None = None
    api_key: str | None = None
    # Several keys instead: used in turn, and left alone while they are refused or limited.
    api_keys: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    timeouts: TimeoutOverrides = TimeoutOverrides()
    max_connections: Count = 1000
    ca_file: str | None = None
    rpm: Count | None = None
    tpm: Count | None = None
    max_concurrent: Count | None = None
    probe: Probe | None = None
    # Some servers refuse `stream_options`; without it their streams carry no usage.
    stream_usage: bool = True
    # demo only: seconds between tokens.
    token_interval: Seconds = 0.02


class Route(Table, frozen=True):
    provider: str
    model: Name
    input_price: Price = 0.0
    cached_input_price: Price | None = None
    output_price: Price = 0.0
    weight: Price = 1.0
    timeouts: TimeoutOverrides = TimeoutOverrides()


class Model(Table, frozen=True):
    """A name that clients ask for.

    A name that ends in `*` stands for every name with that beginning; a `*` at the end of a
    route's model then stands for the rest of it. `fallbacks` are other models, tried when no
    route is left; `fallback_on` adds refusals of the request itself to the reasons.
    """

    name: Name
    routes: tuple[Route, ...] = ()
    alias: Name | None = None
    strategy: StrategyName = "priority"
    sticky_by: tuple[str, ...] = ("header:x-session-id", "user", "token")
    retry: RetryOverrides = RetryOverrides()
    fallbacks: tuple[Name, ...] = ()
    fallback_on: tuple[Literal["context_length", "content_policy"], ...] = ()
    hedge: HedgePolicy | None = None
    cache: ModelCache | None = None


class Token(Table, frozen=True):
    name: Name
    key: str
    models: tuple[str, ...] = ("*",)
    rpm: Count | None = None
    tpm: Count | None = None
    max_concurrent: Count | None = None
    budget: Budget | None = None
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class Admin(Table, frozen=True):
    """Who may use the admin API. The key is written like a token's."""

    name: Name
    key: str


class Log(Table, frozen=True):
    """Application logs go to stderr, request records to stdout.

    format: `auto` is `console` on a terminal and `json` elsewhere.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    requests: bool = True


class Cors(Table, frozen=True):
    """Which web pages may call from a browser (Fetch standard, "CORS protocol"). Off by default.

    `*` in `allow_headers` stands for whatever a page asks for: the standard's own `*` leaves
    out Authorization. `max_age` is seconds that a browser may remember a preflight.
    """

    allow_origins: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ("GET", "POST")
    allow_headers: tuple[str, ...] = ("*",)
    expose_headers: tuple[str, ...] = (
        *("x-request-id", "x-should-retry", "retry-after", "retry-after-ms"),
        *("x-gateway-provider", "x-gateway-model", "x-gateway-attempts", "x-gateway-cache"),
        "x-provider-request-id",
        *("x-ratelimit-limit-requests", "x-ratelimit-limit-tokens"),
        *("x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens"),
        *("x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"),
    )
    max_age: Annotated[int, Meta(ge=0, le=86_400)] = 600
    allow_credentials: bool = False


class Config(Table, frozen=True):
    server: Server = Server()
    timeouts: Timeouts = Timeouts()
    retry: RetryPolicy = RetryPolicy()
    log: Log = Log()
    cors: Cors = Cors()
    breaker: BreakerPolicy = BreakerPolicy()
    limits: Limits = Limits()
    overload: OverloadPolicy = OverloadPolicy()
    cache: CachePolicy = CachePolicy()
    providers: dict[str, Provider] = {}
    models: tuple[Model, ...] = ()
    tokens: tuple[Token, ...] = ()
    admins: tuple[Admin, ...] = ()
