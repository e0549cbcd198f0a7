from __future__ import annotations

import random
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import StatusCode

from gateway.core.records.record import AttemptRecord, EndReason, Record
from gateway.core.records.traceparent import Trace
from gateway.core.routing.causes import Cause
from gateway.providers.settings import Provider
from gateway.telemetry.tracing.spans import (
    MESSAGE_CHARS,
    NAME_CHARS,
    SpanMaker,
    message_of,
    resource,
)

TRACE = Trace("0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7", None, True, "")
FIRST, SECOND = "1111111111111111", "2222222222222222"
PROVIDERS = {
    "main": Provider(kind="openai", base_url="https://api.openai.com/v1", api_key="sk-canary-1"),
    "mine": Provider(kind="openai", base_url="http://10.0.0.7:8000/v1"),
    "demo": Provider(kind="demo"),
}


@pytest.fixture
def maker() -> SpanMaker:
    maker = SpanMaker(resource("llm-gateway"), random.Random(1).getrandbits)
    maker.configure(PROVIDERS)
    return maker


def streamed(**changed: Any) -> Record:
    """Return what is known of a stream that its second attempt answered."""
    attempts = [
        AttemptRecord(
            provider="main",
            model="gpt-x-1",
            cause="rate_limited",
            status=429,
            error="429 slow down",
            started_ms=1.5,
            duration_ms=20.0,
            span_id=FIRST,
        ),
        AttemptRecord(
            provider="mine",
            model="x-2",
            status=200,
            wait_ms=250.0,
            started_ms=271.5,
            duration_ms=700.0,
            first_event_ms=80.0,
            span_id=SECOND,
        ),
    ]
    record: dict[str, Any] = {
        "request_id": "req_1",
        "time": 1_700_000_000.25,
        "token": "team-a",
        "model": "x",
        "provider": "mine",
        "provider_model": "x-2",
        "stream": True,
        "status": 200,
        "end_reason": EndReason.COMPLETE,
        "input_tokens": 10,
        "output_tokens": 30,
        "cached_tokens": 4,
        "reasoning_tokens": 5,
        "cost_nano_usd": 1_500_000,
        "latency_ms": 980.0,
        "first_event_ms": 351.5,
        "attempts": attempts,
        "session": "session-7",
        "user": "somebody",
        "client": "192.0.2.7",
    }
    return Record(**(record | changed))


def attributes(span: ReadableSpan) -> dict[str, Any]:
    assert span.attributes is not None
    return dict(span.attributes)


def status(span: ReadableSpan) -> tuple[StatusCode, str | None]:
    return span.status.status_code, span.status.description


def test_a_request_and_its_attempts_are_a_tree(maker: SpanMaker) -> None:
    request, first, second = maker.spans(streamed(), TRACE)
    assert [span.name for span in (request, first, second)] == [
        "chat x",
        "chat gpt-x-1",
        "chat x-2",
    ]
    assert [span.kind for span in (request, first, second)] == [
        SpanKind.SERVER,
        SpanKind.CLIENT,
        SpanKind.CLIENT,
    ]
    assert request.parent is None
    for span, expected in ((request, TRACE.span_id), (first, FIRST), (second, SECOND)):
        assert span.context is not None
        assert f"{span.context.trace_id:032x}" == TRACE.trace_id
        assert f"{span.context.span_id:016x}" == expected
        assert span.context.trace_flags.sampled
        assert span is request or span.parent == request.context
    start = 1_700_000_000_250_000_000
    times = [(span.start_time or 0, span.end_time or 0) for span in (request, first, second)]
    assert times == [
        (start, start + 980_000_000),
        (start + 1_500_000, start + 21_500_000),
        (start + 271_500_000, start + 971_500_000),
    ]


def test_a_callers_span_is_the_parent(maker: SpanMaker) -> None:
    trace = Trace(TRACE.trace_id, TRACE.span_id, "b7ad6b7169203331", True, "a=1,b=2")
    request, first, _ = maker.spans(streamed(), trace)
    assert request.parent is not None
    assert request.parent.span_id == 0xB7AD6B7169203331
    assert request.parent.is_remote
    assert first.parent is not None
    assert not first.parent.is_remote
    for span in (request, first):
        assert span.context is not None
        assert dict(span.context.trace_state.items()) == {"a": "1", "b": "2"}


def test_attributes_are_the_conventions(maker: SpanMaker) -> None:
    request, first, second = maker.spans(streamed(), TRACE)
    assert attributes(request) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "mine",
        "gen_ai.request.model": "x",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "x-2",
        "gen_ai.conversation.id": "session-7",
        "http.response.status_code": 200,
        "gateway.request_id": "req_1",
        "gateway.token": "team-a",
        "gateway.provider": "mine",
        "gateway.end_reason": "complete",
        "gateway.attempts": 2,
        "gateway.cached": False,
        "gateway.cost_usd": 0.0015,
        "gateway.time_to_first_token": 0.3515,
    }
    common = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.stream": True,
        "gen_ai.conversation.id": "session-7",
        "gateway.request_id": "req_1",
    }
    assert attributes(first) == common | {
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x-1",
        "server.address": "api.openai.com",
        "server.port": 443,
        "http.response.status_code": 429,
        "error.type": "rate_limited",
        "gateway.provider": "main",
        "gateway.attempt": 1,
        "gateway.cause": "rate_limited",
        "gateway.wait": 0.0,
    }
    assert attributes(second) == common | {
        "gen_ai.provider.name": "mine",
        "gen_ai.request.model": "x-2",
        "gen_ai.response.time_to_first_chunk": 0.08,
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 30,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "server.address": "10.0.0.7",
        "server.port": 8000,
        "http.response.status_code": 200,
        "gateway.provider": "mine",
        "gateway.attempt": 2,
        "gateway.wait": 0.25,
        "gateway.cost_usd": 0.0015,
        "gateway.time_to_first_token": 0.08,
    }
    assert status(request) == (StatusCode.UNSET, None)
    assert status(first) == (StatusCode.ERROR, "429 slow down")
    assert status(second) == (StatusCode.UNSET, None)


def test_an_answer_that_is_no_stream_has_no_first_chunk(maker: SpanMaker) -> None:
    request, _, second = maker.spans(streamed(stream=False), TRACE)
    assert "gen_ai.request.stream" not in attributes(request)
    assert "gen_ai.response.time_to_first_chunk" not in attributes(second)
    assert attributes(second)["gateway.time_to_first_token"] == 0.08


def test_an_attempts_cost_is_what_the_others_leave(maker: SpanMaker) -> None:
    record = streamed(cost_nano_usd=5_000_000_000)
    record.attempts[0].cost_nano_usd = 2_000_000_000
    request, first, second = maker.spans(record, TRACE)
    costs = [attributes(span)["gateway.cost_usd"] for span in (request, first, second)]
    assert costs == [5.0, 2.0, 3.0]
    # A part that is not known makes the whole unknown, and what a provider says stands beside.
    record.cost_nano_usd, record.reported_cost_nano_usd = None, 7_000_000_000
    record.cache_write_tokens = 5
    request, first, second = maker.spans(record, TRACE)
    costs = [attributes(span).get("gateway.cost_usd") for span in (request, first, second)]
    assert costs == [None, 2.0, None]
    assert attributes(request)["gateway.reported_cost_usd"] == 7.0
    assert attributes(second)["gen_ai.usage.cache_creation.input_tokens"] == 5


@pytest.mark.parametrize(
    ("reason", "code", "failed"),
    [
        (EndReason.COMPLETE, 200, None),
        (EndReason.CACHED, 200, None),
        # A server that refuses a bad request has done its job.
        (EndReason.REJECTED, 404, None),
        (EndReason.REJECTED, 503, "rejected"),
        (EndReason.PROVIDER_REJECTED, 400, None),
        (EndReason.CLIENT_GONE, 499, "client_gone"),
        (EndReason.PROVIDERS_FAILED, 502, "providers_failed"),
        (EndReason.UPSTREAM_BROKE, 200, "upstream_broke"),
        (EndReason.CONNECT_TIMEOUT, 504, "connect_timeout"),
        (EndReason.FIRST_EVENT_TIMEOUT, 504, "first_event_timeout"),
        (EndReason.IDLE_TIMEOUT, 200, "idle_timeout"),
        (EndReason.TOTAL_TIMEOUT, 504, "total_timeout"),
        (EndReason.SEND_TIMEOUT, 200, "send_timeout"),
        (EndReason.SHUTTING_DOWN, 503, "server_shutting_down"),
        (EndReason.CANCELLED, 503, "cancelled_by_operator"),
        (EndReason.INTERNAL_ERROR, 500, "internal_error"),
    ],
)
def test_a_requests_status(
    maker: SpanMaker, reason: EndReason, code: int, failed: str | None
) -> None:
    record = streamed(end_reason=reason, status=code, error="why", attempts=[])
    (request,) = maker.spans(record, TRACE)
    expected = (StatusCode.UNSET, None) if failed is None else (StatusCode.ERROR, "why")
    assert status(request) == expected
    found = attributes(request)
    assert found.get("error.type") == failed
    assert found["gateway.end_reason"] == reason.value
    # A status that was never sent is none.
    assert found.get("http.response.status_code") == (None if code == 499 else code)


def test_every_end_reason_is_covered() -> None:
    marks: list[pytest.Mark] = test_a_requests_status.pytestmark  # type: ignore[attr-defined]
    assert {row[0] for row in marks[0].args[1]} == set(EndReason)


def test_a_relayed_499_was_sent(maker: SpanMaker) -> None:
    record = streamed(end_reason=EndReason.PROVIDER_REJECTED, status=499)
    assert attributes(maker.spans(record, TRACE)[0])["http.response.status_code"] == 499


def test_the_gateways_own_code_says_most(maker: SpanMaker) -> None:
    record = streamed(
        end_reason=EndReason.PROVIDERS_FAILED, status=502, error_code="all_providers_failed"
    )
    found = attributes(maker.spans(record, TRACE)[0])
    assert found["error.type"] == found["gateway.error_code"] == "all_providers_failed"


@pytest.mark.parametrize("cause", Cause)
def test_an_attempts_status(maker: SpanMaker, cause: Cause) -> None:
    attempt = AttemptRecord(provider="main", model="m", cause=cause.value, error="why")
    _, span = maker.spans(streamed(attempts=[attempt]), TRACE)
    found = attributes(span)
    assert found["gateway.cause"] == cause.value
    if cause is Cause.HEDGED:
        assert status(span) == (StatusCode.UNSET, None)
        assert "error.type" not in found
    else:
        assert status(span) == (StatusCode.ERROR, "why")
        assert found["error.type"] == cause.value


def test_little_is_known_of_a_request_that_was_refused(maker: SpanMaker) -> None:
    record = Record(
        request_id="req_1",
        time=1.5,
        # The caller's own invention: no span is called so.
        model="no-such-model",
        status=404,
        end_reason=EndReason.REJECTED,
        error_code="model_not_found",
    )
    (request,) = maker.spans(record, TRACE)
    assert request.name == "chat"
    assert attributes(request) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "no-such-model",
        "http.response.status_code": 404,
        "gateway.request_id": "req_1",
        "gateway.end_reason": "rejected",
        "gateway.error_code": "model_not_found",
        "gateway.attempts": 0,
        "gateway.cached": False,
    }


def test_an_attempt_without_an_id_gets_one(maker: SpanMaker) -> None:
    attempts = [AttemptRecord(provider="gone", model="m") for _ in range(2)]
    _, first, second = maker.spans(streamed(attempts=attempts), TRACE)
    assert first.context is not None
    assert second.context is not None
    assert first.context.is_valid
    assert first.context.span_id != second.context.span_id
    # A provider that a reload has taken away meanwhile.
    assert attributes(first)["gen_ai.provider.name"] == "gone"
    assert "server.address" not in attributes(first)


def test_nothing_of_what_identifies_people_is_sent(maker: SpanMaker) -> None:
    record = streamed(user="somebody", client="192.0.2.7", user_agent="agent", metadata={"a": "b"})
    shown = str([(span.name, attributes(span)) for span in maker.spans(record, TRACE)])
    assert "somebody" not in shown
    assert "192.0.2.7" not in shown


@pytest.mark.parametrize(
    "key",
    [
        "sk-gw-0123456789abcdef",
        "sk-proj-AbC_dEf-123456",
        "SK-LIVE-123456789",
        "gsk_0123456789abcdef",
        "xai-0123456789abcdef",
        "AIzaSyA-1234567890123456789012345",
        "Bearer eyJhbGciOi.J9.x",
    ],
)
def test_what_looks_like_a_key_is_hidden(maker: SpanMaker, key: str) -> None:
    record = streamed(
        end_reason=EndReason.PROVIDERS_FAILED, status=502, error=f"Incorrect key: {key}, sorry"
    )
    record.attempts[0].error = "x" * (MESSAGE_CHARS - 10) + f" {key}"
    shown = [status(span)[1] for span in maker.spans(record, TRACE)]
    assert shown[0] == "Incorrect key: ***, sorry"
    assert all(key[:10] not in (text or "") for text in shown)


def test_ordinary_words_are_not_hidden() -> None:
    text = "the task-force of pk 12 asked: sk-1? Monkey-patched a key-value."
    assert message_of(text) == text


def test_text_is_short(maker: SpanMaker) -> None:
    record = streamed(
        model="m" * 1000,
        session="s" * 1000,
        error="e" * 1000,
        status=500,
        end_reason=EndReason.INTERNAL_ERROR,
    )
    request = maker.spans(record, TRACE)[0]
    assert len(request.name) == NAME_CHARS
    assert len(attributes(request)["gen_ai.conversation.id"]) == NAME_CHARS
    assert status(request)[1] == "e" * (MESSAGE_CHARS - 3) + "..."


def test_the_resource_says_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=x"
    )
    found = resource("mine").attributes
    assert found["service.name"] == "mine"
    assert found["service.version"]
    assert found["deployment.environment.name"] == "test"


any_text = st.text(st.characters() | st.sampled_from("\ud800\udfff\x00\U0001f600"), max_size=300)
any_number = st.integers(-(10**30), 10**30)


@given(any_text, any_text, any_text, any_number, st.floats(allow_nan=False, allow_infinity=False))
def test_every_record_can_be_sent(
    model: str, error: str, session: str, tokens: int, cost: float
) -> None:
    maker = SpanMaker(resource("llm-gateway"), random.Random(1).getrandbits)
    maker.configure(PROVIDERS)
    attempt = AttemptRecord(
        provider=model, model=model, error=error, cause="rejected", status=7, first_event_ms=1
    )
    record = streamed(
        model=model,
        error=error,
        session=session,
        input_tokens=tokens,
        cost_nano_usd=tokens,
        attempts=[attempt],
        status=500,
        end_reason=EndReason.INTERNAL_ERROR,
    )
    spans = maker.spans(record, TRACE)
    encoded = encode_spans(spans).resource_spans[0].scope_spans[0].spans
    for span, sent in zip(spans, encoded, strict=True):
        # The SDK leaves out what it cannot encode, and logs it with a traceback.
        assert len(sent.attributes) == len(attributes(span))
        assert len(sent.status.message) <= MESSAGE_CHARS


@given(st.text(string.printable, max_size=400))
def test_a_message_stays_short(text: str) -> None:
    assert len(message_of(text) or "") <= MESSAGE_CHARS
