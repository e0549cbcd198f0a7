"""What is written down of a request: one `Record`, made exactly once, at its end."""

from __future__ import annotations

import enum
from typing import Final, Literal

import msgspec

from ...errors import (
    CallerError,
    CancelledByOperator,
    GatewayError,
    Overloaded,
    ProvidersTimedOut,
    ShuttingDown,
    UpstreamError,
)

# provider: as it reported them; tokenizer: by a library on this machine, of requests that ask for a
# count; estimated: by the length of the text. Of a mixture, the last.
CountedBy = Literal["provider", "tokenizer", "estimated"]
# The operation of requests that no model answers.
COUNT_TOKENS: Final = "count_tokens"


class EndReason(enum.StrEnum):
    """How a request ended. Only COMPLETE and CACHED are whole answers."""

    COMPLETE = "complete"
    CACHED = "cached"  # from the cache, or with the answer to another's equal request
    CLIENT_GONE = "client_gone"
    REJECTED = "rejected"  # by the gateway: bad request, bad key, unknown model
    PROVIDER_REJECTED = "provider_rejected"  # a provider's 4xx, relayed as it was
    PROVIDERS_FAILED = "providers_failed"  # before the first byte
    UPSTREAM_BROKE = "upstream_broke"  # after it
    CONNECT_TIMEOUT = "connect_timeout"
    FIRST_EVENT_TIMEOUT = "first_event_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    TOTAL_TIMEOUT = "total_timeout"
    SEND_TIMEOUT = "send_timeout"
    SHUTTING_DOWN = "server_shutting_down"
    CANCELLED = "cancelled_by_operator"
    INTERNAL_ERROR = "internal_error"


# A request that ended in any other way has failed. Its status does not tell: a stream that broke
# has 200, and 499 is of callers that left, which is no failure.
WELL: Final = frozenset({EndReason.COMPLETE, EndReason.CACHED, EndReason.CLIENT_GONE})
# With the other reasons a caller is there to be told.
UNTOLD: Final = WELL | {EndReason.SEND_TIMEOUT}


def end_reason(error: GatewayError) -> EndReason:
    """Return how a request ended that was answered with `error`."""
    if isinstance(error, ShuttingDown):
        return EndReason.SHUTTING_DOWN
    if isinstance(error, CancelledByOperator):
        return EndReason.CANCELLED
    if isinstance(error, CallerError | Overloaded):
        return EndReason.REJECTED
    if isinstance(error, ProvidersTimedOut):
        return EndReason.TOTAL_TIMEOUT
    if isinstance(error, UpstreamError):
        return EndReason.PROVIDERS_FAILED
    return EndReason.INTERNAL_ERROR


class AttemptRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One attempt. Times in milliseconds; `cause` None is success; `wait_ms` came before it.

    It began `started_ms` after the request. `span_id` is its span's, 16 hexadecimal digits.
    """

    provider: str
    model: str
    cause: str | None = None
    status: int | None = None
    error: str | None = None
    wait_ms: float = 0.0
    duration_ms: float = 0.0
    first_event_ms: float | None = None
    cost_nano_usd: int | None = None  # estimated, where no usage was reported
    started_ms: float = 0.0
    span_id: str | None = None


class SkipRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A deployment that the request went past `at_ms` after it came, and why."""

    provider: str
    model: str
    reason: str
    at_ms: float = 0.0


class Record(msgspec.Struct, kw_only=True):
    """One request. `time` is Unix seconds at its arrival, durations are milliseconds.

    Tokens are None where no provider reported any. `cost_nano_usd` is in billionths of a
    dollar, None where it is not known; `reported_cost_nano_usd` is what the provider itself says
    of the answer. `status` is what the caller saw, or 499 (nginx's) if it had left before. `cached`
    says that the answer was made for an earlier or another request, which has its cost.
    `error_code` is the code of the error that the gateway itself answered with. `client` is
    the caller's address, `session` and `metadata` are what the headers say that the
    configuration wants kept. `trace_id` is that of W3C's traceparent, 32 hexadecimal digits.
    `provider` of a request that was cut before its answer is the one that was being asked.
    `fallback_model` is the public name of the fallback that answered; None if the model that was
    asked for did. `skipped` are the deployments that it went past.
    `dropped` are the members of the request that the provider was not sent, since its API cannot
    say them.
    `team` and `labels` are those of the caller's key.
    `price_source` says where the prices were from by which it was charged. `counted_by` says who
    counted the tokens that it was charged for; the counts of the record are the provider's alone.
    """

    request_id: str
    time: float
    token: str | None = None
    model: str | None = None
    provider: str | None = None
    provider_model: str | None = None
    stream: bool = False
    status: int = 499
    end_reason: EndReason = EndReason.INTERNAL_ERROR
    error: str | None = None
    error_code: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    output_image_tokens: int | None = None
    cost_nano_usd: int | None = None
    reported_cost_nano_usd: int | None = None
    latency_ms: float = 0.0
    first_event_ms: float | None = None
    attempts: list[AttemptRecord] = []
    events: int = 0
    malformed_events: int = 0
    user: str | None = None
    client: str | None = None
    cached: bool = False
    operation: str = "chat"
    session: str | None = None
    user_agent: str | None = None
    trace_id: str | None = None
    metadata: dict[str, str] | None = None
    fallback_model: str | None = None
    skipped: list[SkipRecord] = []
    dropped: list[str] = []
    price_source: str | None = None
    counted_by: CountedBy | None = None
    cache_write_1h_tokens: int | None = None
    team: str | None = None
    labels: dict[str, str] | None = None


def milliseconds(seconds: float) -> float:
    """Return `seconds`, which are finite, in milliseconds, to the microsecond."""
    # `round` to three digits goes by way of a text, for thrice as long.
    return round(seconds * 1e6) / 1000
