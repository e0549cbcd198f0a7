"""What `config.toml` may say: one Struct a table, unknown keys forbidden.

Every field has a default where a sensible one exists, so that an empty table is valid. Ranges
are part of the types; what spans several tables is checked in `checks/`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from ..core.cache.answers import CachePolicy, ModelCache
from ..core.dialects.base import ReasoningForm
from ..core.dialects.keeping import ResponsesPolicy
from ..core.dialects.translators import TranslationPolicy, Unsupported
from ..core.limits.shedding import OverloadPolicy
from ..core.records.client_metadata import AGENT_HEADERS
from ..core.records.minimised import Keeping, Minimising
from ..core.records.pricing import Prices
from ..core.routing.attempts import RetryOverrides, RetryPolicy
from ..core.routing.balancing.strategies import StrategyName
from ..core.routing.breaker.policy import BreakerPolicy
from ..core.routing.capabilities.declared import UNDECLARED, Capabilities
from ..core.routing.hedging import HedgePolicy
from ..core.routing.timeouts import Seconds, TimeoutOverrides, Timeouts
from ..core.sign_in import AdminSettings
from ..core.state_server import StateServer
from ..providers.facts.policy import CatalogPolicy
from ..providers.kind import RouteTerms
from ..providers.settings import Provider
from .cors import Cors
from .keys.tables import Team, Token
from .listener.server import Server
from .value_types import Count, Name, Positive, Price

# What each may do: `admin/rights.py`.
AdminScope = Literal["viewer", "analyst", "operator", "admin", "metrics"]


# What records call the prices of a route.
_ROUTE: Final = "route"


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class LimitsConfig(Table, frozen=True):
    """How much is let through of all requests together.

    rpm, tpm and max_concurrent are unlimited when absent. The queue is also the one of every
    provider's own `max_concurrent`: how many may wait for a place, and for how many seconds.
    """

    rpm: Count | None = None
    tpm: Count | None = None
    max_concurrent: Count | None = None
    max_queue: Annotated[int, Meta(ge=0)] = 100
    queue_timeout: Seconds = 2.0


class Route(Table, frozen=True):
    """Where a model is served. Prices are USD per million tokens, and per thousand web searches.

    What has none costs null.
    """

    provider: str
    model: Name
    input_price: Price | None = None
    cached_input_price: Price | None = None
    cache_write_price: Price | None = None
    cache_write_1h_price: Price | None = None
    input_audio_price: Price | None = None
    input_image_price: Price | None = None
    output_price: Price | None = None
    output_audio_price: Price | None = None
    output_image_price: Price | None = None
    # USD per thousand units of search, of a rerank.
    search_price: Price | None = None
    web_search_price: Price | None = None
    weight: Price = 1.0
    timeouts: TimeoutOverrides = TimeoutOverrides()
    # Instead of the provider's own.
    api: Literal["chat", "responses", "both"] | None = None
    # For callers of another dialect; None: by the model's name, and any number of tokens.
    reasoning: ReasoningForm | None = None
    max_output_tokens: Count | None = None
    # Over the provider's own.
    capabilities: Capabilities = UNDECLARED

    @property
    def prices(self) -> Prices:
        """Return the prices that the route itself has, which are those of all its models."""
        found = Prices(
            input=self.input_price,
            output=self.output_price,
            cached_input=self.cached_input_price,
            cache_write=self.cache_write_price,
            cache_write_1h=self.cache_write_1h_price,
            input_audio=self.input_audio_price,
            output_audio=self.output_audio_price,
            input_image=self.input_image_price,
            output_image=self.output_image_price,
            search=self.search_price,
            web_search=self.web_search_price,
        )
        return msgspec.structs.replace(found, source=_ROUTE) if found.known else found

    def terms(
        self,
        model: str,
        timeouts: Timeouts,
        pattern: str | None,
        *,
        drops: bool = False,
        caches_prompts: bool = False,
    ) -> RouteTerms:
        """Return what the route says of one `model`; `timeouts` are those of its provider."""
        return RouteTerms(
            model=model,
            timeouts=timeouts.override(self.timeouts),
            prices=self.prices,
            weight=self.weight,
            pattern=pattern,
            api=self.api,
            reasoning=self.reasoning,
            max_output_tokens=self.max_output_tokens,
            drops=drops,
            capabilities=self.capabilities,
            caches_prompts=caches_prompts,
        )


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
    unsupported: Unsupported | None = None
    # Breakpoints of Anthropic's cache for callers whose API has none.
    cache_prompt: Literal["auto", "off"] = "off"


class Admin(Table, frozen=True):
    """A key of the admin API, written like a token's. Without `scopes` it may do everything."""

    name: Name
    key: str
    scopes: tuple[AdminScope, ...] | None = None


class Log(Table, frozen=True):
    """Application logs go to stderr, request records to stdout.

    format: `auto` is `console` on a terminal and `json` elsewhere. Of a request's headers, the
    first of `session_headers` that is there is its session; `metadata_headers` are kept by name.
    `users`, `addresses` and `provider_errors` say what is kept of these; `hash_key` is for hashes.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    requests: bool = True
    session_headers: tuple[str, ...] = (
        *("x-session-id", "x-claude-code-session-id", "session_id", "session-id"),
    )
    metadata_headers: tuple[str, ...] = AGENT_HEADERS
    users: Keeping = "keep"
    addresses: Keeping = "keep"
    provider_errors: Keeping = "keep"
    hash_key: str = ""

    @property
    def minimising(self) -> Minimising:
        return Minimising(self.users, self.addresses, self.provider_errors, self.hash_key)


class Store(Table, frozen=True):
    """Where what lasts is kept; `url = ""` keeps nothing.

    A SQLite file without a leading slash is in the folder `[server] state_dir`, and so is the
    folder `journal`: what could not be written yet waits there, up to `journal_max_bytes`.
    """

    url: str = "sqlite:///gateway.db"
    # SQLite is always migrated at the start. A PostgreSQL database may have an administrator who
    # does that.
    auto_migrate: bool = False
    journal: Annotated[str, Meta(min_length=1)] = "gateway.journal"
    journal_max_bytes: Annotated[int, Meta(ge=1024 * 1024)] = 1024 * 1024 * 1024
    # What waits in memory for a batch, or for the journal's disk.
    max_waiting: Count = 10_000


class Retention(Table, frozen=True):
    """For how many days what is kept; 0 is for ever. Roll-ups by minute go with the requests."""

    requests_days: Seconds = 90
    rollups_days: Seconds = 730
    audit_days: Seconds = 730
    # Those that the gateway keeps itself (`[responses]`).
    responses_days: Seconds = 30
    debug_days: Seconds = 7
    debug_max_bytes: Annotated[int, Meta(ge=0)] = 1024 * 1024 * 1024
    interval: Annotated[float, Meta(ge=1)] = 3600.0


class DebugLog(Table, frozen=True):
    """Which requests are kept whole, in files. Off unless one of the first four selects some.

    `errors_only` keeps, of what the others select, what failed; alone it selects every request.
    `redact` are paths such as `messages[*].content`, in requests, answers and events.
    """

    tokens: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    sample: Annotated[float, Meta(ge=0, le=1)] = 0.0
    errors_only: bool = False
    folder: Annotated[str, Meta(min_length=1)] = "debug"
    max_bytes: Annotated[int, Meta(ge=1024)] = 4 * 1024 * 1024
    redact: tuple[str, ...] = ()

    @property
    def on(self) -> bool:
        return bool(self.tokens or self.models or self.sample or self.errors_only)


class MetricsConfig(Table, frozen=True):
    """`GET /metrics`, for admins' keys; with `public` for every caller that reaches the port.

    Of each label no more than `max_label_values` are told apart; the rest is "other".
    """

    enabled: bool = True
    public: bool = False
    max_label_values: Count = 200


class TracingConfig(Table, frozen=True):
    """OpenTelemetry spans, by OTLP over HTTP to `endpoint`: http://HOST:4318/v1/traces; "" = off.

    `sample` is the fraction of requests whose trace begins here; one that a caller's traceparent
    has begun is kept if that says so.
    """

    endpoint: str = ""
    headers: dict[str, str] = {}
    sample: Annotated[float, Meta(ge=0, le=1)] = 1.0
    service_name: Annotated[str, Meta(min_length=1)] = "llm-gateway"
    timeout: Positive = 10.0


class Config(Table, frozen=True):
    server: Server = Server()
    timeouts: Timeouts = Timeouts()
    retry: RetryPolicy = RetryPolicy()
    log: Log = Log()
    store: Store = Store()
    state: StateServer = StateServer()
    retention: Retention = Retention()
    debug_log: DebugLog = DebugLog()
    metrics: MetricsConfig = MetricsConfig()
    tracing: TracingConfig = TracingConfig()
    cors: Cors = Cors()
    admin: AdminSettings = AdminSettings()
    breaker: BreakerPolicy = BreakerPolicy()
    limits: LimitsConfig = LimitsConfig()
    overload: OverloadPolicy = OverloadPolicy()
    cache: CachePolicy = CachePolicy()
    translation: TranslationPolicy = TranslationPolicy()
    responses: ResponsesPolicy = ResponsesPolicy()
    catalog: CatalogPolicy = CatalogPolicy()
    providers: dict[str, Provider] = {}
    models: tuple[Model, ...] = ()
    teams: tuple[Team, ...] = ()
    tokens: tuple[Token, ...] = ()
    admins: tuple[Admin, ...] = ()
