"""What `config.toml` may say: one Struct a table, unknown keys forbidden.

Every field has a default where a sensible one exists, so that an empty table is valid. Ranges
are part of the types; what spans several tables is checked in `check.py`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..core.routing.attempts import RetryPolicy
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


class Provider(Table, frozen=True):
    kind: Literal["openai", "demo"]
    base_url: str | None = None
    api_key: str | None = None
    headers: dict[str, str] = {}
    timeouts: TimeoutOverrides = TimeoutOverrides()
    max_connections: Count = 1000
    ca_file: str | None = None
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
    name: Name
    routes: tuple[Route, ...] = ()
    alias: Name | None = None


class Token(Table, frozen=True):
    name: Name
    key: str
    models: tuple[str, ...] = ("*",)


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
        *("x-gateway-provider", "x-gateway-attempts", "x-provider-request-id"),
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
    providers: dict[str, Provider] = {}
    models: tuple[Model, ...] = ()
    tokens: tuple[Token, ...] = ()
