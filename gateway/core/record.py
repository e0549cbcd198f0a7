"""What is written down of a request: one `Record`, made exactly once, at its end."""

from __future__ import annotations

import enum

import msgspec


class EndReason(enum.StrEnum):
    """How a request ended. Everything but COMPLETE and CACHED is someone's fault."""

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
    INTERNAL_ERROR = "internal_error"


class AttemptRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One attempt. Times in milliseconds; `cause` None is success; `wait_ms` came before it."""

    provider: str
    model: str
    cause: str | None = None
    status: int | None = None
    error: str | None = None
    wait_ms: float = 0.0
    duration_ms: float = 0.0
    first_event_ms: float | None = None
    cost_nano_usd: int | None = None  # estimated, where no usage was reported


class Record(msgspec.Struct, kw_only=True):
    """One request. `time` is Unix seconds at its arrival, durations are milliseconds.

    Tokens are None where no provider reported any. `cost_nano_usd` is in billionths of a
    dollar. `status` is what the caller saw, or 499 (nginx's) if it had left before. `cached`
    says that the answer was made for an earlier or another request, which has its cost.
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
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_nano_usd: int | None = None
    latency_ms: float = 0.0
    first_event_ms: float | None = None
    attempts: list[AttemptRecord] = []
    events: int = 0
    malformed_events: int = 0
    user: str | None = None
    client: str | None = None
    cached: bool = False


def milliseconds(seconds: float) -> float:
    """Return `seconds` in milliseconds, to the microsecond."""
    return round(seconds * 1000, 3)
