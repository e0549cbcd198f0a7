"""Records as OpenTelemetry spans: one of kind SERVER for a request, below it a CLIENT for each
attempt.

Names and attributes are the GenAI semantic conventions' (github.com/open-telemetry/
semantic-conventions-genai, docs/gen-ai/gen-ai-spans.md), else the general ones', else begin
with `gateway.`. Nothing of a prompt or an answer is among them. Usage is only on the attempt
that answered: tools add it up over all spans of a trace.

Imports OpenTelemetry's SDK, so it is itself imported only where tracing is on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from ... import __version__
from ...core.records.record import AttemptRecord, EndReason, Record
from ...core.records.traceparent import Bits, Trace, new_span_id
from ...core.routing.causes import Cause
from ...providers.settings import Provider
from .server_address import ServerAddress, place_of

Attribute = str | bool | int | float

# A provider's error may repeat what it was sent, at any length.
MESSAGE_CHARS: Final = 200
# Names that callers choose: models, sessions.
NAME_CHARS: Final = 256

# The gateway's own keys never get here, but providers may quote any: what looks like a key.
_KEY: Final = re.compile(
    r"\bbearer\s+[^\s,;]+|\b(?:sk|pk|rk|gsk|xai)[-_][\w.*-]{6,}|\bAIza[\w-]{20,}", re.IGNORECASE
)
# Operations that the conventions call otherwise (`gen_ai.operation.name`).
_OPERATIONS: Final = {
    "completions": "text_completion",
    "messages": "chat",
    "responses": "chat",
}
_MAX_INT: Final = (1 << 63) - 1
_UNSET: Final = Status(StatusCode.UNSET)


def resource(service_name: str) -> Resource:
    """Return the resource that sends the spans; OTEL_RESOURCE_ATTRIBUTES may add to it."""
    return Resource.create({"service.name": service_name, "service.version": __version__})


class SpanMaker:
    """Makes spans of finished requests. `spans` and `configure` may run in different threads."""

    def __init__(self, resource: Resource, bits: Bits) -> None:
        self._places: Mapping[str, ServerAddress] = {}
        self._resource = resource
        self._bits = bits
        self._scope = InstrumentationScope("llm-gateway", __version__)

    def configure(self, providers: Mapping[str, Provider]) -> None:
        """Take note of where these providers are, by the names that records have for them."""
        self._places = {name: place_of(name, provider) for name, provider in providers.items()}

    def spans(self, record: Record, trace: Trace) -> list[ReadableSpan]:
        """Return the request's span, then its attempts' in the order they began."""
        answered = _answered(record)
        # A float of Unix seconds is exact to the microsecond only.
        start = round(record.time * 1e6) * 1000
        own = _context(trace, trace.span_id)
        caller = trace.parent_id and _context(trace, trace.parent_id, remote=True)
        known = record.provider is not None or bool(record.attempts)
        made = [
            ReadableSpan(
                # Span names should have few values: a model that does not exist is left out.
                _name(_operation(record.operation), record.model if known else None),
                own,
                caller or None,
                self._resource,
                self._of_request(record),
                kind=SpanKind.SERVER,
                status=_request_status(record),
                start_time=start,
                end_time=start + _nanoseconds(record.latency_ms),
                instrumentation_scope=self._scope,
            )
        ]
        for number, attempt in enumerate(record.attempts, 1):
            begun = start + _nanoseconds(attempt.started_ms)
            made.append(
                ReadableSpan(
                    _name(_operation(record.operation), attempt.model),
                    _context(trace, attempt.span_id or new_span_id(self._bits)),
                    own,
                    self._resource,
                    self._of_attempt(record, attempt, number, answered=attempt is answered),
                    kind=SpanKind.CLIENT,
                    status=_attempt_status(attempt),
                    start_time=begun,
                    end_time=begun + _nanoseconds(attempt.duration_ms),
                    instrumentation_scope=self._scope,
                )
            )
        return made

    def _of_request(self, record: Record) -> dict[str, Attribute]:
        failed = _request_failed(record)
        return _there_is(
            {
                **self._common(record, record.model, record.provider),
                "gen_ai.response.model": record.provider_model,
                # The gateway's own 499 was never sent; one from a provider was.
                "http.response.status_code": record.status if _was_sent(record) else None,
                "error.type": (record.error_code or record.end_reason.value) if failed else None,
                "gateway.request_id": record.request_id,
                "gateway.token": record.token,
                "gateway.end_reason": record.end_reason.value,
                "gateway.error_code": record.error_code,
                "gateway.attempts": len(record.attempts),
                "gateway.cached": record.cached,
                "gateway.cost_usd": _dollars(record.cost_nano_usd),
                "gateway.reported_cost_usd": _dollars(record.reported_cost_nano_usd),
                "gateway.time_to_first_token": _seconds(record.first_event_ms),
            }
        )

    def _of_attempt(
        self, record: Record, attempt: AttemptRecord, number: int, *, answered: bool
    ) -> dict[str, Attribute]:
        place = self._places.get(attempt.provider, ServerAddress(attempt.provider))
        usage: dict[str, Attribute | None] = {}
        if answered:
            usage = {
                "gen_ai.usage.input_tokens": record.input_tokens,
                "gen_ai.usage.output_tokens": record.output_tokens,
                "gen_ai.usage.cache_read.input_tokens": record.cached_tokens,
                "gen_ai.usage.cache_creation.input_tokens": record.cache_write_tokens or None,
                "gen_ai.usage.reasoning.output_tokens": record.reasoning_tokens,
            }
        first_event = _seconds(attempt.first_event_ms)
        return _there_is(
            {
                **self._common(record, attempt.model, attempt.provider),
                **usage,
                "gen_ai.response.time_to_first_chunk": first_event if record.stream else None,
                "server.address": place.address,
                "server.port": place.port,
                "http.response.status_code": attempt.status,
                "error.type": attempt.cause if _attempt_failed(attempt) else None,
                "gateway.request_id": record.request_id,
                "gateway.attempt": number,
                "gateway.cause": attempt.cause,
                "gateway.wait": _seconds(attempt.wait_ms),
                "gateway.cost_usd": _dollars(_cost(record, attempt, answered=answered)),
                "gateway.time_to_first_token": first_event,
            }
        )

    def _common(
        self, record: Record, model: str | None, provider: str | None
    ) -> dict[str, Attribute | None]:
        place = self._places.get(provider) if provider is not None else None
        return {
            "gen_ai.operation.name": _operation(record.operation),
            "gen_ai.provider.name": place.name if place is not None else provider,
            "gen_ai.request.model": model,
            "gen_ai.request.stream": record.stream or None,
            "gen_ai.conversation.id": record.session,
            "gateway.provider": provider,
        }


def message_of(error: str | None) -> str | None:
    """Return `error` as a span may show it: short, with nothing in it that looks like a key."""
    if error is None:
        return None
    return _text(_KEY.sub("***", error), MESSAGE_CHARS)


def _answered(record: Record) -> AttemptRecord | None:
    """Return the attempt that the caller was shown: only that one has a first event."""
    shown = [each for each in record.attempts if each.first_event_ms is not None]
    return shown[-1] if shown else None


def _cost(record: Record, attempt: AttemptRecord, *, answered: bool) -> int | None:
    """Return what the attempt cost: what is known of itself, else what the others leave."""
    if attempt.cost_nano_usd is not None or not answered or record.cost_nano_usd is None:
        return attempt.cost_nano_usd
    return record.cost_nano_usd - sum(each.cost_nano_usd or 0 for each in record.attempts)


def _request_failed(record: Record) -> bool:
    # A server did its job when it refused a bad request (HTTP conventions, "Status").
    if record.end_reason in (EndReason.REJECTED, EndReason.PROVIDER_REJECTED):
        return record.status >= 500
    return record.end_reason not in (EndReason.COMPLETE, EndReason.CACHED)


def _request_status(record: Record) -> Status:
    if not _request_failed(record):
        return _UNSET
    return Status(StatusCode.ERROR, message_of(record.error))


def _attempt_failed(attempt: AttemptRecord) -> bool:
    # One that was cut because another was faster did nothing wrong.
    return attempt.cause is not None and attempt.cause != Cause.HEDGED.value


def _attempt_status(attempt: AttemptRecord) -> Status:
    if not _attempt_failed(attempt):
        return _UNSET
    return Status(StatusCode.ERROR, message_of(attempt.error))


def _was_sent(record: Record) -> bool:
    return record.status != 499 or record.end_reason is EndReason.PROVIDER_REJECTED


def _context(trace: Trace, span_id: str, *, remote: bool = False) -> SpanContext:
    entries = [entry.partition("=") for entry in trace.state.split(",") if entry]
    return SpanContext(
        int(trace.trace_id, 16),
        int(span_id, 16),
        remote,
        TraceFlags(TraceFlags.SAMPLED),
        TraceState([(key, value) for key, _, value in entries]),
    )


def _operation(operation: str) -> str:
    """Return OpenTelemetry's name of an operation, where it has one of its own."""
    return _OPERATIONS.get(operation, operation)


def _name(operation: str, model: str | None) -> str:
    return _text(operation if model is None else f"{operation} {model}", NAME_CHARS)


def _there_is(found: Mapping[str, Attribute | None]) -> dict[str, Attribute]:
    """Leave out what is None, and keep the rest to what the protocol can carry."""
    return {key: _carried(value) for key, value in found.items() if value is not None}


def _carried(value: Attribute) -> Attribute:
    if isinstance(value, str):
        return _text(value, NAME_CHARS)
    if isinstance(value, int) and not isinstance(value, bool):
        # Tokens are what a provider says they are; one number too many loses a whole batch.
        return max(-_MAX_INT, min(value, _MAX_INT))
    return value


def _text(text: str, limit: int) -> str:
    # Protobuf takes no lone surrogates, and one would lose the whole batch.
    sane = text.encode("utf-8", "replace").decode("utf-8")
    return sane if len(sane) <= limit else sane[: limit - 3] + "..."


def _nanoseconds(milliseconds: float) -> int:
    return max(0, round(milliseconds * 1e6))


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1e3


def _dollars(nano: int | None) -> float | None:
    return None if nano is None else nano / 1e9
