from __future__ import annotations

import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
import trio
from opentelemetry import trace as global_trace
from structlog.testing import LogCapture
from trio.testing import wait_all_tasks_blocked

from gateway.config.schema import TracingConfig
from gateway.core.records.record import AttemptRecord, EndReason, Record
from gateway.core.records.traceparent import Trace
from gateway.errors import ConfigError
from gateway.providers.settings import Provider
from gateway.proxy import protocols
from gateway.telemetry.tracing import tracer as tracing
from gateway.telemetry.tracing.tracer import BATCH_SPANS, QUEUE_REQUESTS, OtlpTracer

from ..otlp import ReceivedSpan, Receiver

CANARY = "canary-5f0e"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> LogCapture:
    capture = LogCapture()
    monkeypatch.setattr(tracing, "_log", structlog.wrap_logger(None, processors=[capture]))
    return capture


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "BATCH_SECONDS", 0.02)
    # A developer's own environment has no say here.
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_COMPRESSION"):
        monkeypatch.delenv(name, raising=False)


def tracer_to(
    receiver: Receiver, *, queue_requests: int = QUEUE_REQUESTS, **more: Any
) -> OtlpTracer:
    tracer = OtlpTracer(TracingConfig(endpoint=receiver.endpoint, **more), queue_requests)
    tracer.configure({"main": Provider(kind="openai", base_url="https://api.openai.com/v1")})
    return tracer


def finished(tracer: OtlpTracer, number: int = 1, attempts: int = 1, **more: Any) -> Record:
    """Return the record of a request that `tracer` has followed."""
    rows = [
        AttemptRecord(provider="main", model="m-1", status=200, span_id=tracer.span_id())
        for _ in range(attempts)
    ]
    return Record(
        request_id=f"req_{number}",
        time=1_700_000_000.0,
        model="m",
        status=200,
        end_reason=EndReason.COMPLETE,
        attempts=rows,
        **more,
    )


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110  # another thread makes it so
            await trio.sleep(0.005)


def numbers(receiver: Receiver) -> list[str]:
    return [span.attributes["gateway.request_id"] for span in receiver.by_kind("server")]


def events(log: LogCapture) -> list[str]:
    return [entry["event"] for entry in log.entries]


async def test_spans_arrive(receiver: Receiver, nursery: trio.Nursery) -> None:
    tracer = tracer_to(receiver, service_name="here", headers={"Authorization": "Basic abc"})
    nursery.start_soon(tracer.run)
    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    trace = tracer.begin([(b"traceparent", parent), (b"tracestate", b"rojo=1")])
    record = finished(tracer)
    tracer.record(record, trace)
    await until(lambda: tracer.status.sent == 2)
    request, attempt = receiver.spans
    assert (request.kind, attempt.kind) == ("server", "client")
    assert request.trace_id == attempt.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert (request.parent_id, request.span_id) == ("b7ad6b7169203331", trace.span_id)
    assert (attempt.parent_id, attempt.span_id) == (trace.span_id, record.attempts[0].span_id)
    assert request.remote_parent
    assert not attempt.remote_parent
    assert request.state == attempt.state == "rojo=1"
    assert request.status == attempt.status == "unset"
    assert attempt.attributes["server.address"] == "api.openai.com"
    assert request.resource["service.name"] == "here"
    assert request.resource["telemetry.sdk.name"] == "opentelemetry"
    assert request.scope == "llm-gateway"
    assert receiver.heads[0]["authorization"] == "Basic abc"
    assert receiver.paths == ["/v1/traces"]
    assert repr(tracer) == (
        f"<OtlpTracer to {receiver.endpoint}: "
        "ExporterStatus(waiting=0, sent=2, dropped=0, error=None)>"
    )


async def test_what_gathers_goes_together(receiver: Receiver, nursery: trio.Nursery) -> None:
    tracer = tracer_to(receiver)
    for number in range(600):
        tracer.record(finished(tracer, number), tracer.begin([]))
    nursery.start_soon(tracer.run)
    await until(lambda: tracer.status.sent == 1200)
    assert receiver.batches == [BATCH_SPANS, BATCH_SPANS, 1200 - 2 * BATCH_SPANS]
    assert numbers(receiver) == [f"req_{number}" for number in range(600)]
    assert len({span.span_id for span in receiver.spans}) == 1200


async def test_a_full_batch_does_not_wait(
    receiver: Receiver, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "BATCH_SECONDS", 60)
    tracer = tracer_to(receiver)
    nursery.start_soon(tracer.run)
    tracer.record(finished(tracer), tracer.begin([]))
    await trio.sleep(0.1)
    assert receiver.batches == []
    for number in range(BATCH_SPANS // 2):
        tracer.record(finished(tracer, number), tracer.begin([]))
    await until(lambda: tracer.status.sent == BATCH_SPANS + 2)


async def test_the_thread_pauses_for_the_event_loop_while_it_makes_a_batch(
    receiver: Receiver, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("gateway.telemetry.tracing.tracer.time.sleep", pauses.append)
    tracer = tracer_to(receiver)
    for number in range(40):
        tracer.record(finished(tracer, number), tracer.begin([]))
    nursery.start_soon(tracer.run)
    await until(lambda: tracer.status.sent == 80)
    # One after each record that spans are made of, one after every few that are encoded.
    assert pauses == [0] * (40 + 80 // 4)
    assert numbers(receiver) == [f"req_{number}" for number in range(40)]


async def test_what_is_not_sampled_is_not_sent(receiver: Receiver, nursery: trio.Nursery) -> None:
    tracer = tracer_to(receiver, sample=0.0)
    nursery.start_soon(tracer.run)
    unsampled = tracer.begin([])
    assert not unsampled.sampled
    tracer.record(finished(tracer, 1), unsampled)
    tracer.record(finished(tracer, 1), None)
    assert tracer.status.waiting == 0
    # A caller's word is stronger than the fraction.
    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    tracer.record(finished(tracer, 2), tracer.begin([(b"traceparent", parent)]))
    await until(lambda: tracer.status.sent == 2)
    assert numbers(receiver) == ["req_2"]


async def test_what_is_left_is_sent_at_the_end(
    receiver: Receiver, log: LogCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "BATCH_SECONDS", 60)
    # Making so many takes a second, and on a busy machine more than there usually is.
    monkeypatch.setattr(tracing, "FLUSH_SECONDS", 60)
    tracer = tracer_to(receiver)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tracer.run)
        await wait_all_tasks_blocked()
        for number in range(300):
            tracer.record(finished(tracer, number, attempts=2), tracer.begin([]))
        nursery.cancel_scope.cancel()
    assert len(receiver.spans) == tracer.status.sent == 900
    assert log.entries == []


async def test_a_batch_under_way_is_waited_for_at_the_end(receiver: Receiver) -> None:
    receiver.hangs = True
    tracer = tracer_to(receiver)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tracer.run)
        tracer.record(finished(tracer), tracer.begin([]))
        await until(lambda: len(receiver.bodies) == 1)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            await trio.sleep(0.1)
            receiver.release()
    assert len(receiver.spans) == tracer.status.sent == 2


@pytest.mark.measured
async def test_the_end_does_not_wait_for_ever(
    receiver: Receiver, log: LogCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "FLUSH_SECONDS", 0.2)
    receiver.hangs = True
    tracer = tracer_to(receiver)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tracer.run)
        tracer.record(finished(tracer, 1), tracer.begin([]))
        await until(lambda: len(receiver.bodies) == 1)
        tracer.record(finished(tracer, 2), tracer.begin([]))
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began < 2
    assert tracer.status.waiting == 0
    assert tracer.status.dropped == 2
    assert log.entries[-1]["event"] == "spans dropped at exit"


async def test_a_receiver_that_is_down_and_comes_back(
    receiver: Receiver, nursery: trio.Nursery, log: LogCapture
) -> None:
    receiver.stop()
    # One refused connection, then retries a second apart: the timeout leaves room for none.
    tracer = tracer_to(receiver, timeout=0.3)
    nursery.start_soon(tracer.run)
    for number in range(3):
        tracer.record(finished(tracer, number), tracer.begin([]))
        await until(lambda number=number: tracer.status.dropped == 2 * (number + 1))  # type: ignore[misc]
    assert tracer.status.error is not None
    assert events(log) == ["spans are not taken"]
    assert log.entries[0]["endpoint"] == receiver.endpoint
    receiver.start()
    tracer.record(finished(tracer, 7), tracer.begin([]))
    await until(lambda: tracer.status.sent == 2)
    assert numbers(receiver) == ["req_7"]
    await until(lambda: tracer.status.error is None)
    assert events(log) == ["spans are not taken", "spans are taken again"]
    assert log.entries[1]["dropped"] == 6


async def test_a_busy_receiver_is_asked_again(receiver: Receiver, nursery: trio.Nursery) -> None:
    receiver.status, receiver.headers = 429, {"retry-after": "0.1"}
    tracer = tracer_to(receiver)
    nursery.start_soon(tracer.run)
    tracer.record(finished(tracer), tracer.begin([]))
    await until(lambda: len(receiver.bodies) > 0)
    receiver.status = 200
    await until(lambda: tracer.status.sent == 2)
    assert tracer.status.dropped == 0


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (400, {}, "Failed to export spans batch code: 400, reason: Bad Request"),
        (401, {}, "Failed to export spans batch code: 401, reason: Unauthorized"),
        (500, {}, "Failed to export spans batch code: 500, reason: Internal Server Error"),
        (429, {"retry-after": "3600"}, None),
        (503, {"retry-after": "3600"}, None),
    ],
)
async def test_a_receiver_that_refuses(
    receiver: Receiver,
    nursery: trio.Nursery,
    log: LogCapture,
    caplog: pytest.LogCaptureFixture,
    status: int,
    headers: dict[str, str],
    error: str | None,
) -> None:
    receiver.status, receiver.headers = status, headers
    tracer = tracer_to(receiver)
    nursery.start_soon(tracer.run)
    for number in range(4):
        tracer.record(finished(tracer, number), tracer.begin([]))
        await until(lambda number=number: tracer.status.dropped == 2 * (number + 1))  # type: ignore[misc]
    assert len(receiver.bodies) == 4
    # Once an episode, not once a batch, and none of the SDK's own lines.
    assert events(log) == ["spans are not taken"]
    assert error is None or log.entries[0]["error"] == error
    assert [r for r in caplog.records if r.name.startswith("opentelemetry")] == []


async def test_a_receiver_that_hangs_holds_one_thread_and_a_bounded_queue(
    receiver: Receiver, nursery: trio.Nursery, log: LogCapture
) -> None:
    receiver.hangs = True
    tracer = tracer_to(receiver, queue_requests=10)
    nursery.start_soon(tracer.run)
    tracer.record(finished(tracer, 0), tracer.begin([]))
    await until(lambda: len(receiver.bodies) == 1)
    for number in range(1, 1001):
        tracer.record(finished(tracer, number), tracer.begin([]))
    assert tracer.status.waiting == 10
    assert tracer.status.dropped == 2 * 990
    await trio.sleep(0.1)
    assert len(receiver.bodies) == 1
    receiver.release()
    await until(lambda: tracer.status.sent == 2 * 11)
    # The newest are worth the most.
    assert numbers(receiver) == ["req_0", *(f"req_{number}" for number in range(991, 1001))]
    await until(lambda: "spans are taken again" in events(log))
    assert events(log) == ["spans are not taken", "spans are taken again"]


async def test_a_thread_that_does_not_come_back_is_not_waited_for(
    receiver: Receiver, nursery: trio.Nursery, log: LogCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_GRACE_SECONDS", -9.8)
    receiver.hangs = True
    tracer = tracer_to(receiver)  # which waits for 10 s, while we have patience for 0.2
    nursery.start_soon(tracer.run)
    tracer.record(finished(tracer, 1), tracer.begin([]))
    await until(lambda: tracer.status.error == "no answer within 0.2 s")
    tracer.record(finished(tracer, 2), tracer.begin([]))
    await trio.sleep(0.5)
    # The thread is still at it, so no other was begun.
    assert len(receiver.bodies) == 1
    receiver.release()
    await until(lambda: tracer.status.sent == 4)
    assert numbers(receiver) == ["req_1", "req_2"]
    await until(lambda: events(log) == ["spans are not taken", "spans are taken again"])


async def test_a_span_that_cannot_be_made_costs_no_other(
    receiver: Receiver, nursery: trio.Nursery, log: LogCapture
) -> None:
    tracer = tracer_to(receiver)
    tracer.record(finished(tracer, 1), tracer.begin([]))
    tracer.record(finished(tracer, 2), Trace("no number", "0" * 16))
    tracer.record(finished(tracer, 3), tracer.begin([]))
    nursery.start_soon(tracer.run)
    await until(lambda: tracer.status.error == "ValueError")
    assert (tracer.status.sent, tracer.status.dropped) == (4, 2)
    assert log.entries[0]["event"] == "spans lost"
    assert log.entries[0]["request_id"] == "req_2"
    assert numbers(receiver) == ["req_1", "req_3"]


async def test_no_secret_leaves_in_a_span_or_the_log(
    receiver: Receiver, nursery: trio.Nursery, log: LogCapture, caplog: pytest.LogCaptureFixture
) -> None:
    key = f"sk-{CANARY}-key"
    config = TracingConfig(
        endpoint=f"http://user-{CANARY}:pw-{CANARY}@127.0.0.1:{receiver.port}/v1/traces?k={CANARY}",
        headers={"x-api-key": CANARY},
        timeout=0.3,
    )
    tracer = OtlpTracer(config)
    tracer.configure(
        {
            "main": Provider(
                kind="openai",
                base_url=f"https://{CANARY}:{CANARY}@example.test/{CANARY}?{CANARY}",
                api_key=key,
                headers={"x": CANARY},
            )
        }
    )
    nursery.start_soon(tracer.run)
    record = finished(tracer, error=f"401 wrong key {key}", user=CANARY, client=CANARY)
    record.status, record.end_reason = 502, EndReason.PROVIDERS_FAILED
    record.attempts[0].error, record.attempts[0].cause = f"401 Bearer {key}", "auth_failed"
    tracer.record(record, tracer.begin([]))
    await until(lambda: tracer.status.sent == 2)
    assert CANARY.encode() not in receiver.bodies[0]
    assert CANARY in receiver.heads[0]["x-api-key"]
    assert receiver.spans[0].message == "401 wrong key ***"
    receiver.stop()
    tracer.record(finished(tracer), tracer.begin([]))
    await until(lambda: tracer.status.error is not None)
    shown = f"{log.entries} {caplog.text} {tracer!r} {tracer.status}"
    assert CANARY not in shown
    assert "127.0.0.1" in shown


async def test_the_environment_may_add_what_is_not_configured(
    receiver: Receiver, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=7,x-both=environment")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip")
    # Those of another program: the configuration's are always given.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "other")
    tracer = tracer_to(receiver, headers={"X-Both": "configured"})
    nursery.start_soon(tracer.run)
    tracer.record(finished(tracer), tracer.begin([]))
    await until(lambda: tracer.status.sent == 2)
    head = receiver.heads[0]
    assert (head["x-tenant"], head["x-both"]) == ("7", "configured")
    assert head["content-encoding"] == "gzip"
    assert receiver.spans[0].resource["service.name"] == "llm-gateway"


def test_it_is_what_the_proxy_asks_for(receiver: Receiver) -> None:
    tracer = tracer_to(receiver)
    # What mypy checks; at run time, that nothing else is needed than this.
    recorder: protocols.Recorder = tracer
    begins: protocols.Tracer = tracer
    recorder.record(finished(tracer), begins.begin(((b"host", b"x"),)))
    assert tracer.status.waiting == 1


async def test_nothing_global_is_left_behind(receiver: Receiver) -> None:
    before = global_trace.get_tracer_provider()
    filters = list(logging.getLogger(tracing._EXPORTER).filters)
    tracer = tracer_to(receiver)
    with trio.move_on_after(0.05):
        await tracer.run()
    assert global_trace.get_tracer_provider() is before
    assert logging.getLogger(tracing._EXPORTER).filters == filters


@pytest.mark.parametrize(
    "endpoint",
    ["", "localhost:4318", "grpc://host:4317", "http://", "http://host:99999/", "http://[::1/"],
)
def test_an_endpoint_must_be_a_url(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"tracing\.endpoint"):
        OtlpTracer(TracingConfig(endpoint=endpoint))


def test_the_sdk_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"needs OpenTelemetry .*otel"):
        OtlpTracer(TracingConfig(endpoint="http://127.0.0.1:4318/v1/traces"))


@pytest.mark.slow
def test_the_sdk_is_not_imported_for_nothing() -> None:
    program = (
        "import sys, gateway.telemetry.tracing.tracer\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'requests'))])"
    )
    found = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert found.stdout.strip() == "[]"


def test_the_receiver_keeps_what_it_is_told(receiver: Receiver) -> None:
    with socket.create_connection(("127.0.0.1", receiver.port)) as client:
        client.sendall(b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    receiver.wait(lambda receiver: receiver.batches == [0])
    spans: list[ReceivedSpan] = receiver.spans
    assert spans == []
