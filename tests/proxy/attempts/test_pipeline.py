"""Attempts: which provider is called when, and what the caller is shown in the end."""

from __future__ import annotations

import math
import time
from email.utils import formatdate

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gateway.core.routing.attempts import RetryPolicy
from gateway.core.routing.causes import Cause
from gateway.core.routing.timeouts import TimeoutOverrides, Timeouts
from gateway.proxy.options import ClientOptions
from gateway.transport_errors import (
    CertificateRefused,
    ConnectFailed,
    ConnectionLost,
    ProtocolViolation,
)

from ...stopping import stopped_at
from ..scripts import (
    DONE,
    EOF,
    EVENTS,
    JSON,
    ROLE,
    SILENCE,
    STALL,
    STOP,
    TOTALS,
    Head,
    Play,
    ScriptedClient,
    Step,
    answer,
    chunk,
    fails,
    ok,
    status,
)
from ..world import World, body, deployment


def said(*texts: str) -> bytes:
    """Return what the caller gets of a stream that says `texts`."""
    pieces = [chunk(text) for text in texts]
    return b"".join([*pieces, STOP]).replace(b'"real"', b'"m"') + DONE


LOST = ConnectionLost("reset by peer")
REFUSED = ConnectFailed("connection refused")
ERROR_EVENT = b'data: {"error":{"message":"overloaded"}}\n\n'
BROKEN_STARTS: dict[str, tuple[list[Step], str, float]] = {
    "503": (status(503, after=0.1), "server_error", 0.1),
    "500 that breaks off": ([(0, Head(500)), (0.2, b"{"), (0, LOST)], "server_error", 0.2),
    "529": (status(529), "server_error", 0),
    "408": (status(408), "server_error", 0),
    "redirect": (status(307), "protocol_violation", 0),
    "401": (status(401), "auth_failed", 0),
    "402": (status(402), "auth_failed", 0),
    "403": (status(403), "auth_failed", 0),
    "refused": (fails(REFUSED), "connect_failed", 0),
    "reset": (fails(LOST, after=0.3), "connection_lost", 0.3),
    "no HTTP": (fails(ProtocolViolation("?")), "protocol_violation", 0),
    "reset after the head": ([(0.1, Head()), (0.1, LOST)], "connection_lost", 0.2),
    "reset after the role": ([(0, Head()), (0, ROLE), (0.5, LOST)], "connection_lost", 0.5),
    "error event": ([(0, Head()), (0.5, ERROR_EVENT), (0, EOF)], "stream_error", 0.5),
    "error after the role": ([(0, Head()), (0, ROLE), (1, ERROR_EVENT)], "stream_error", 1),
    "no events": ([(0, Head()), (0.5, EOF)], "empty_stream", 0.5),
    "only the role": ([(0, Head()), (0, ROLE), (0.5, EOF)], "empty_stream", 0.5),
    "only [DONE]": ([(0, Head()), (0.5, DONE), (9, EOF)], "empty_stream", 0.5),
    "only comments": ([(0, Head()), (1, b": hi\n\n"), (1, EOF)], "empty_stream", 2),
    "JSON": ([(0, Head(200, (JSON,))), (0, b'{"error":"x"}'), (0, EOF)], "stream_error", 0),
    "HTML": ([(0, Head(200, ((EVENTS[0], b"text/html"),))), (0, EOF)], "not_a_stream", 0),
    "silence": (SILENCE, "first_event_timeout", 60),
    "silence after the head": ([(1, Head()), (0, STALL)], "first_event_timeout", 60),
    "stall after the role": ([(1, Head()), (0, ROLE), (0, STALL)], "first_event_timeout", 60),
    "503 that stalls": ([(0, Head(503)), (0, STALL)], "server_error", 5),
    "400 without end": (
        [(0, Head(400)), *[(0, b"x" * 65536)] * 2000],
        "unreadable",
        0,
    ),
    "wrong certificate": (
        fails(CertificateRefused("no TLS")),
        "certificate_refused",
        0,
    ),
    "400 that stalls": ([(0, Head(400)), (0, STALL)], "protocol_violation", 5),
}


@pytest.mark.parametrize(("steps", "cause", "ends"), BROKEN_STARTS.values(), ids=BROKEN_STARTS)
async def test_before_any_content_the_next_provider_answers(
    autojump_clock: MockClock, steps: list[Step], cause: str, ends: float
) -> None:
    world = World([("a", steps), ("b", ok("from b", after=2.0))])
    record = await world.run()
    assert trio.current_time() == pytest.approx(ends + 2.0)
    assert world.upstream.called == [(0, "a"), (ends, "b")]
    assert world.causes == [cause, "ok"]
    assert world.client.text == said("from b")
    assert world.client.status == 200
    assert record.provider == "b"
    assert world.client.headers[b"x-gateway-provider"] == b"b"
    assert world.client.headers[b"x-gateway-attempts"] == b"2"
    assert [row.duration_ms for row in record.attempts] == pytest.approx([ends * 1000, 2000])
    assert world.upstream.responses[-1].kept


async def test_the_record_of_a_fallback_is_complete(autojump_clock: MockClock) -> None:
    world = World([("a", status(503, after=0.1)), ("b", ok(after=2.0))])
    record = await world.run()
    first, second = record.attempts
    assert (first.provider, first.model, first.cause, first.status) == (
        "a",
        "real",
        "server_error",
        503,
    )
    assert first.error == "503 no"
    assert first.first_event_ms is None
    assert (second.cause, second.status, second.error) == (None, 200, None)
    assert second.first_event_ms == 2000.0
    assert record.request_id == "req_1"
    assert (record.token, record.client, record.model) == ("tester", "192.0.2.1", "m")
    assert (record.provider, record.provider_model) == ("b", "real")
    assert (record.stream, record.status, record.end_reason) == (True, 200, "complete")
    assert record.error is None
    assert (record.input_tokens, record.output_tokens) == (100, 20)
    assert (record.cached_tokens, record.reasoning_tokens) == (40, 5)
    # 60 tokens at 2 USD a million, 40 at 0.5, 20 at 8: in billionths of a dollar.
    assert record.cost_nano_usd == (60 * 2_000 + 40 * 500 + 20 * 8_000)
    assert (record.latency_ms, record.first_event_ms) == (2100.0, 2100.0)
    # The one with the totals is taken out of what the caller sees, and does not count.
    assert (record.events, record.malformed_events) == (2, 0)
    assert world.health["a/real"].consecutive_failures == 1
    assert world.health["b/real"].failures == {}
    assert world.health["b/real"].first_event.value == 2.0


async def test_usage_is_shown_to_who_asks_for_it(autojump_clock: MockClock) -> None:
    client = ScriptedClient(body(stream_options={"include_usage": True}, user="u7"))
    world = World([("a", ok())], client=client)
    record = await world.run()
    assert client.text.endswith(TOTALS.replace(b'"real"', b'"m"') + DONE)
    assert (record.events, record.user) == (3, "u7")


async def test_whole_answers_are_relayed_with_their_usage(autojump_clock: MockClock) -> None:
    world = World([("a", answer("yes", after=3))], stream=False)
    record = await world.run()
    assert trio.current_time() == 3
    assert b'"model":"m"' in world.client.text
    assert world.client.headers[b"content-length"] == b"%d" % len(world.client.text)
    assert (record.end_reason, record.cost_nano_usd, record.first_event_ms) == (
        "complete",
        300_000,
        3000,
    )
    assert not record.stream
    assert world.upstream.responses[0].kept
    assert world.upstream.calls[0][1].headers[0] == (b"accept", b"application/json")


BAD_ANSWERS: dict[str, tuple[list[Step], str]] = {
    "no JSON": ([(0, Head(200, (JSON,))), (0, b"<html>"), (0, EOF)], "protocol_violation"),
    "empty": ([(0, Head(200, (JSON,))), (0, EOF)], "protocol_violation"),
    "an error": (
        [(0, Head(200, (JSON,))), (0, b'{"error":{"message":"x"}}'), (0, EOF)],
        "stream_error",
    ),
    "cut": ([(0, Head(200, (JSON,))), (0, b'{"choi'), (0, LOST)], "connection_lost"),
    "stalled": ([(0, Head(200, (JSON,))), (0, b'{"choi'), (0, STALL)], "idle_timeout"),
    "503": (status(503), "server_error"),
}


@pytest.mark.parametrize(("steps", "cause"), BAD_ANSWERS.values(), ids=BAD_ANSWERS)
async def test_a_bad_answer_is_not_shown(
    autojump_clock: MockClock, steps: list[Step], cause: str
) -> None:
    world = World([("a", steps), ("b", answer("good"))], stream=False)
    await world.run()
    assert world.causes == [cause, "ok"]
    assert b"good" in world.client.text


async def test_an_oversized_answer_is_not_shown(autojump_clock: MockClock) -> None:
    from gateway.config.listener.server import Server

    big: list[Step] = [(0, Head(200, (JSON,))), (0, b"[" * 1000), (0, b"[" * 1000), (0, EOF)]
    server = Server(max_response_bytes=1500)
    world = World([("a", big), ("b", answer("good"))], stream=False, server=server)
    await world.run()
    assert world.causes == ["unreadable", "ok"]
    # The next would be as long, and cost as much.
    alone = World([("a", big)], stream=False, server=server)
    await alone.run()
    assert alone.causes == ["unreadable"]


# Waiting...


async def test_retries_wait_with_full_jitter(autojump_clock: MockClock) -> None:
    world = World(
        [("a", status(503)), ("a", status(503)), ("a", ok())],
        retry=RetryPolicy(base=0.5, cap=8),
        rng=lambda: 0.5,
    )
    record = await world.run()
    # U(0, 0.5), then U(0, 1), with a dice that always says one half.
    assert world.upstream.called == [(0, "a"), (0.25, "a"), (0.75, "a")]
    assert [row.wait_ms for row in record.attempts] == [0, 250, 500]
    assert world.causes == ["server_error", "server_error", "ok"]


async def test_all_routes_go_first_then_the_least_tried_again(autojump_clock: MockClock) -> None:
    world = World(
        [("a", fails(REFUSED)), ("b", fails(REFUSED)), ("a", status(500)), ("b", ok())],
        retry=RetryPolicy(max_attempts=4),
    )
    await world.run()
    assert world.upstream.called == [(0, "a"), (0, "b"), (0.25, "a"), (0.5, "b")]


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ((b"retry-after", b"7"), 7.35),  # asked + one half of a tenth
        ((b"retry-after-ms", b"2000"), 2.1),
        ((b"retry-after", b"0.1"), 0.25),  # the backoff is longer
        ((b"retry-after", b"soon"), 0.25),
        ((b"retry-after", b"-5"), 0.25),
    ],
)
@pytest.mark.parametrize("code", [429, 503])
async def test_retry_after_is_a_floor(
    autojump_clock: MockClock, header: tuple[bytes, bytes], wait: float, code: int
) -> None:
    world = World([("a", status(code, header)), ("a", ok())])
    await world.run()
    if code == 429 and wait == 0.25 and header[1] != b"0.1":
        # Without a hint its key rests for a second.
        wait = 1.05
    assert world.upstream.called == [(0, "a"), (pytest.approx(wait), "a")]


async def test_retry_after_may_be_a_date(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    date = formatdate(now + 10, usegmt=True).encode()
    world = World([("a", status(429, (b"retry-after", date))), ("a", ok())])
    record = await world.run()
    assert world.upstream.called == [(0, "a"), (10.5, "a")]
    assert record.time == now


@pytest.mark.parametrize(("asked", "total"), [(b"61", 600.0), (b"30", 20.0)])
async def test_a_long_retry_after_is_passed_on(
    autojump_clock: MockClock, asked: bytes, total: float
) -> None:
    timeouts = Timeouts(total=total)
    world = World([("a", status(429, (b"retry-after", asked)))], timeouts=timeouts)
    record = await world.run()
    assert trio.current_time() == 0
    assert world.client.status == 429
    assert world.client.headers[b"retry-after"] == asked
    assert world.client.headers[b"retry-after-ms"] == asked + b"000"
    # A minute is as long as it is worth: OpenAI's SDK would sleep for two.
    worth_it = b"true" if int(asked) <= 60 else b"false"
    assert world.client.headers[b"x-should-retry"] == worth_it
    assert world.client.error["code"] == "rate_limit_exceeded"
    assert record.end_reason == "providers_failed"
    # A full bucket is not a sick provider.
    assert world.health["a/real"].consecutive_failures == 0


@pytest.mark.parametrize(("asked", "total"), [(b"61", 600.0), (b"30", 20.0)])
async def test_a_long_retry_after_goes_to_the_next_target(
    autojump_clock: MockClock, asked: bytes, total: float
) -> None:
    limited = status(429, (b"retry-after", asked))
    world = World([("a", limited), ("b", status(503)), ("b", ok())], timeouts=Timeouts(total=total))
    await world.run()
    assert world.upstream.called == [(0, "a"), (0, "b"), (0.25, "b")]


async def test_when_all_are_limited_the_shortest_wait_is_told(autojump_clock: MockClock) -> None:
    world = World(
        [
            ("a", status(429, (b"retry-after", b"90"))),
            ("b", status(429, (b"retry-after-ms", b"70500"))),
        ]
    )
    await world.run()
    assert world.client.status == 429
    assert world.client.headers[b"retry-after"] == b"71"
    assert world.client.headers[b"retry-after-ms"] == b"70500"


# Silence...


async def test_a_silent_target_is_left_alone_while_another_exists(
    autojump_clock: MockClock,
) -> None:
    world = World([("a", SILENCE), ("b", status(503)), ("b", ok())])
    await world.run()
    assert world.upstream.called == [(0, "a"), (60, "b"), (60.25, "b")]
    assert world.causes == ["first_event_timeout", "server_error", "ok"]


async def test_the_only_target_is_tried_again_though_silent(autojump_clock: MockClock) -> None:
    world = World([("a", SILENCE), ("a", ok())])
    await world.run()
    assert world.upstream.called == [(0, "a"), (60.25, "a")]


async def test_nothing_is_begun_that_has_no_time_to_answer(autojump_clock: MockClock) -> None:
    # 65 - 60 leaves less than min_attempt_time.
    world = World([("a", SILENCE)], routes=["a", "b"], timeouts=Timeouts(total=65))
    record = await world.run()
    assert trio.current_time() == 60
    assert (world.client.status, record.end_reason) == (504, "first_event_timeout")


async def test_a_connection_that_takes_too_long_is_another_s_turn(
    autojump_clock: MockClock,
) -> None:
    world = World([Play("a", ok(), connect=6), Play("b", ok(), connect=4)])
    await world.run()
    assert world.upstream.called == [(0, "a"), (5, "b")]
    assert trio.current_time() == 9
    assert world.causes == ["connect_timeout", "ok"]


# Refusals...


@pytest.mark.parametrize("code", [400, 404, 409, 413, 422, 451])
@pytest.mark.parametrize("stream", [True, False])
async def test_refusals_are_relayed_as_they_came(
    autojump_clock: MockClock, code: int, *, stream: bool
) -> None:
    words = b'{"error": {"message":"it is not good" , "x":1}}\n'
    head = Head(
        code,
        (
            (b"content-type", b"application/problem+json"),
            (b"x-secret", b"1"),
            (b"x-request-id", b"theirs"),
        ),
    )
    steps: list[Step] = [(0.5, head), (0, words[:9]), (0, words[9:]), (0, EOF)]
    world = World([("a", steps)], routes=["a", "b"], stream=stream)
    record = await world.run()
    client = world.client
    assert (client.status, client.text) == (code, words)
    assert client.headers == {
        b"content-type": b"application/problem+json",
        b"x-content-type-options": b"nosniff",
        b"content-length": b"%d" % len(words),
        b"x-provider-request-id": b"theirs",
        b"x-gateway-provider": b"a",
        b"x-gateway-model": b"real",
        b"x-gateway-attempts": b"1",
    }
    assert client.finished_at == 0.5
    assert (record.status, record.end_reason) == (code, "provider_rejected")
    assert (record.provider, record.provider_model) == ("a", "real")
    assert world.causes == ["rejected"]
    # It answered: the provider is alive.
    assert world.health["a/real"].consecutive_failures == 0
    assert world.upstream.responses[0].kept


@pytest.mark.parametrize("code", [401, 402, 403])
async def test_what_is_wrong_with_our_key_is_never_shown(
    autojump_clock: MockClock, code: int
) -> None:
    secret = b'{"error":{"message":"Incorrect API key: sk-prov-123"}}'
    world = World([("a", status(code, body=secret))])
    record = await world.run()
    # The same key gets the same answer: no second try.
    assert len(world.upstream.calls) == 1
    assert world.client.status == 502
    assert world.client.error["message"] == "all providers failed: a/real: auth_failed"
    assert b"sk-prov" not in world.client.text
    assert "sk-prov-123" in (record.attempts[0].error or "")


async def test_when_all_fail_the_caller_is_told_how(autojump_clock: MockClock) -> None:
    """Addresses and the like are for the log, not for the caller."""
    world = World([("a", status(503)), ("b", fails(REFUSED)), ("a", fails(LOST))])
    record = await world.run()
    assert world.client.status == 502
    assert world.client.headers[b"x-should-retry"] == b"false"
    assert world.client.error == {
        "message": "all providers failed: a/real: server_error (503 no); "
        "b/real: connect_failed; a/real: connection_lost",
        "type": "upstream_error",
        "param": None,
        "code": "all_providers_failed",
    }
    assert (record.end_reason, record.status) == ("providers_failed", 502)
    assert record.error == world.client.error["message"]
    assert record.cost_nano_usd is None
    assert world.health["a/real"].consecutive_failures == 2


# Deadlines before the first byte...


async def test_total_counts_over_attempts_and_waits(autojump_clock: MockClock) -> None:
    timeouts = Timeouts(total=2.0)
    world = World([("a", status(503, after=1.0)), ("a", SILENCE)], timeouts=timeouts)
    record = await world.run()
    assert world.upstream.called == [(0, "a"), (1.25, "a")]
    assert trio.current_time() == 2.0
    assert (world.client.status, record.end_reason) == (504, "total_timeout")
    assert world.client.error["code"] == "upstream_timeout"
    assert world.client.headers[b"x-should-retry"] == b"false"
    assert world.causes == ["server_error", "total_timeout"]
    # What ended by the request's deadline is neither a failure nor a success.
    assert world.health["a/real"].consecutive_failures == 1


async def test_without_time_for_a_first_attempt_it_is_a_timeout(
    autojump_clock: MockClock,
) -> None:
    client = ScriptedClient(body(), body_at=2.0)
    world = World([], routes=["a", "b"], client=client)
    record = await world.run(asked=ClientOptions(timeout=1.5))
    assert (client.status, client.error["code"]) == (504, "upstream_timeout")
    assert client.error["message"] == "the time was up before a provider could be asked"
    assert (record.end_reason, record.attempts) == ("total_timeout", [])
    assert record.cost_nano_usd is None


async def test_a_wait_that_would_not_end_in_time_is_not_begun(autojump_clock: MockClock) -> None:
    timeouts = Timeouts(total=1.2)
    world = World([("a", status(503, after=1.0))], timeouts=timeouts)
    record = await world.run()
    assert trio.current_time() == 1.0
    # No deadline has passed: it is the provider that failed.
    assert (world.client.status, record.end_reason) == (502, "providers_failed")


async def test_total_bounds_an_answer_that_is_not_streamed(autojump_clock: MockClock) -> None:
    timeouts = Timeouts(total=100, first_event=5)
    world = World([("a", answer(after=101))], stream=False, timeouts=timeouts)
    record = await world.run()
    assert trio.current_time() == 100
    assert (world.client.status, record.end_reason) == (504, "total_timeout")


# What a provider sent while the process was stopped (after 2 s, for 10) is there after it.
WAITS: dict[str, tuple[Timeouts, bool, list[Step]]] = {
    "first event": (Timeouts(first_event=5), True, ok(after=8)),
    "first event, behind the role": (
        Timeouts(first_event=5),
        True,
        [(0, Head()), (0, ROLE), (8, chunk("hi")), (0, STOP), (0, DONE), (0, EOF)],
    ),
    "a stream goes on": (
        Timeouts(idle=5),
        True,
        [(0, Head()), (0, chunk("hi")), (8, STOP), (0, DONE), (0, EOF)],
    ),
    "a whole answer goes on": (
        Timeouts(idle=5),
        False,
        [(0, Head(200, (JSON,))), (0, b"{"), (8, answer()[1][1][1:]), (0, EOF)],  # type: ignore[index]
    ),
    "total": (Timeouts(total=5), True, ok(after=8)),
    "total, of a whole answer": (Timeouts(total=5), False, answer(after=8)),
    "total, while it is relayed": (
        Timeouts(total=5),
        True,
        [(0, Head()), (0, chunk("hi")), (8, STOP), (0, DONE), (0, EOF)],
    ),
}


@pytest.mark.parametrize(("timeouts", "stream", "steps"), WAITS.values(), ids=WAITS)
async def test_no_deadline_counts_time_in_which_the_process_was_stopped(
    autojump_clock: MockClock, timeouts: Timeouts, stream: bool, steps: list[Step]
) -> None:
    world = World([("a", steps)], timeouts=timeouts, stream=stream)
    async with stopped_at(autojump_clock, 2, 10):
        record = await world.run()
        assert trio.current_time() == 12
    assert (record.end_reason, world.causes) == ("complete", ["ok"])
    assert record.latency_ms == 12_000


@pytest.mark.parametrize(
    ("timeouts", "stream", "steps", "reason"),
    [
        (Timeouts(first_event=5), True, SILENCE, "first_event_timeout"),
        (Timeouts(idle=5), True, [(0, Head()), (0, chunk("hi")), (0, STALL)], "idle_timeout"),
        (Timeouts(idle=5), False, [(0, Head(200, (JSON,))), (0, b"{"), (0, STALL)], "idle_timeout"),
        (Timeouts(total=5), True, SILENCE, "total_timeout"),
        (Timeouts(total=5), False, SILENCE, "total_timeout"),
        (Timeouts(total=5), True, [(0, Head()), (0, chunk("hi")), (0, STALL)], "total_timeout"),
    ],
)
async def test_silence_counts_before_and_after_a_stop(
    autojump_clock: MockClock, timeouts: Timeouts, stream: bool, steps: list[Step], reason: str
) -> None:
    world = World(
        [("a", steps)], timeouts=timeouts, stream=stream, retry=RetryPolicy(max_attempts=1)
    )
    async with stopped_at(autojump_clock, 2, 10):
        await world.run()
        assert trio.current_time() == 15
    assert world.causes == [reason]


async def test_a_caller_counts_its_own_time_whatever_we_did(autojump_clock: MockClock) -> None:
    world = World([("a", SILENCE)])
    async with stopped_at(autojump_clock, 2, 10):
        record = await world.run(asked=ClientOptions(timeout=5))
        assert trio.current_time() == 12
    assert (world.client.status, record.end_reason) == (504, "total_timeout")


async def test_an_error_that_came_meanwhile_is_read(autojump_clock: MockClock) -> None:
    refused: list[Step] = [(0, Head(400, (JSON,))), (8, b'{"error":{"message":"no"}}'), (0, EOF)]
    world = World([("a", refused)])
    async with stopped_at(autojump_clock, 2, 10):
        await world.run()
    assert world.client.text == b'{"error":{"message":"no"}}'


async def test_usage_that_came_meanwhile_counts(autojump_clock: MockClock) -> None:
    steps: list[Step] = [(0, Head()), (0, chunk("hi")), (0, STOP), (8, TOTALS), (0, DONE), (0, EOF)]
    world = World([("a", steps)])
    async with stopped_at(autojump_clock, 2, 10):
        record = await world.run()
    assert record.input_tokens == 100


async def test_attempts_after_a_stop_have_the_time_that_was_left(autojump_clock: MockClock) -> None:
    world = World([("a", status(503, after=3)), ("b", ok(after=1))], timeouts=Timeouts(total=5))
    async with stopped_at(autojump_clock, 2, 10):
        await world.run()
        assert world.upstream.called == [(0, "a"), (12, "b")]
    assert world.causes == ["server_error", "ok"]


async def test_connect_timeouts_alone_are_a_504(autojump_clock: MockClock) -> None:
    world = World(
        [Play("a", ok(), connect=9), Play("b", ok(), connect=9)], retry=RetryPolicy(max_attempts=2)
    )
    record = await world.run()
    assert trio.current_time() == 10
    assert (world.client.status, record.end_reason) == (504, "connect_timeout")


async def test_each_target_has_timeouts_of_its_own(autojump_clock: MockClock) -> None:
    quick = Timeouts().override(TimeoutOverrides(first_event=3, connect=1))
    routes = [deployment("a", quick), deployment("b", Timeouts(first_event=20)), deployment("c")]
    world = World(
        [("a", SILENCE), ("b", SILENCE), ("c", ok())],
        routes=routes,
    )
    await world.run()
    assert world.upstream.called == [(0, "a"), (3, "b"), (23, "c")]
    assert [call.connect_timeout for _, call in world.upstream.calls] == [1, 5, 5]


async def test_a_deadline_of_zero_is_none(autojump_clock: MockClock) -> None:
    world = World([("a", ok(after=5000))], timeouts=Timeouts(first_event=0, total=0))
    await world.run()
    assert trio.current_time() == 5000


async def test_a_slow_talker_without_content_is_let_through_at_last(
    autojump_clock: MockClock,
) -> None:
    comments: list[Step] = [(1, b":" + b"x" * 8000 + b"\n\n")] * 9
    steps: list[Step] = [(0, Head()), *comments, (1, chunk("hi")), (0, STOP), (0, DONE), (0, EOF)]
    world = World([("a", steps)])
    record = await world.run()
    assert record.first_event_ms == 9000


async def test_provider_headers_are_passed_on_under_a_prefix(autojump_clock: MockClock) -> None:
    head = Head(
        200,
        (EVENTS, (b"x-request-id", b"up-1"), (b"openai-version", b"2020"), (b"set-cookie", b"a")),
    )
    world = World([("a", [(0, head), *ok()[1:]])])
    await world.run()
    assert world.client.headers[b"x-provider-request-id"] == b"up-1"
    assert world.client.headers[b"x-provider-openai-version"] == b"2020"
    assert b"set-cookie" not in world.client.headers
    assert world.client.headers[b"content-type"] == b"text/event-stream; charset=utf-8"


@pytest.mark.parametrize("code", [200, 400])
async def test_a_provider_s_limits_are_passed_on_as_they_are(
    autojump_clock: MockClock, code: int
) -> None:
    limits = {
        b"x-ratelimit-limit-requests": b"60",
        b"x-ratelimit-remaining-tokens": b"149984",
        b"x-ratelimit-reset-tokens": b"6m0s",
    }
    unknown = (b"x-ratelimit-else", b"1")
    head = Head(code, (EVENTS, *limits.items(), unknown))
    said: list[Step] = ok()[1:] if code == 200 else [(0, b"{}"), (0, EOF)]
    world = World([("a", [(0, head), *said])])
    await world.run()
    assert world.client.status == code
    assert limits.items() <= world.client.headers.items()
    assert unknown[0] not in world.client.headers


@pytest.mark.parametrize("code", [401, 500])
async def test_a_key_that_a_provider_repeats_is_not_written_down(
    autojump_clock: MockClock, code: int
) -> None:
    route = deployment("a", keys=(b"sk-private-1",))
    text = b"the key sk-private-1 is not good"
    world = World(
        [("a", status(code, body=text))], routes=[route], retry=RetryPolicy(max_attempts=1)
    )
    record = await world.run()
    assert record.attempts[0].error == f"{code} the key *** is not good"
    assert b"sk-private-1" not in world.client.text + msgspec.json.encode(record)


@pytest.mark.parametrize("key", [b"sk-private-1", b"Bearer sk-private-1"])
@pytest.mark.parametrize("code", [400, 404, 422])
async def test_a_refusal_that_repeats_our_key_is_shown_without_it(
    autojump_clock: MockClock, code: int, key: bytes
) -> None:
    words = b'{"error":{"message":"no model for sk-private-1", "key":"sk-private-1"}}'
    route = deployment("a", keys=(key,))
    world = World([("a", status(code, body=words))], routes=[route])
    record = await world.run()
    client = world.client
    assert (client.status, record.end_reason) == (code, "provider_rejected")
    assert client.text == b'{"error":{"message":"no model for ***", "key":"***"}}'
    assert client.headers[b"content-length"] == b"%d" % len(client.text)
    assert record.error == record.attempts[0].error == f"{code} no model for ***"
    assert b"sk-private" not in msgspec.json.encode(record)


@pytest.mark.parametrize("name", [b"authorization", b"api-key", b"x-team-token"])
async def test_a_stream_that_ends_with_our_key_in_an_error_is_shown_without_it(
    autojump_clock: MockClock, name: bytes
) -> None:
    route = deployment("a")
    (credential,) = route.credentials
    headers = (*credential.stream_headers, (name, b"Bearer sk-private-1"))
    credential = msgspec.structs.replace(credential, stream_headers=headers)
    route = msgspec.structs.replace(route, credentials=(credential,))
    error = b'data: {"error":{"message":"sk-private-1 is not good"}}\n\n'
    world = World([("a", [(0, Head()), (0, chunk("hi")), (0, error), (0, EOF)])], routes=[route])
    record = await world.run()
    assert record.end_reason == "upstream_broke"
    assert world.client.text.endswith(b'data: {"error":{"message":"*** is not good"}}\n\n')


@pytest.mark.parametrize("shown", range(13))
async def test_what_is_shortened_in_the_middle_of_our_key_has_none_of_it(
    autojump_clock: MockClock, shown: int
) -> None:
    key = b"sk-private-1"
    # A message has 300 characters, of which "401 " and "..." take seven.
    text = b"x" * (293 - shown) + key + b"y" * 20
    world = World([("a", status(401, body=text))], routes=[deployment("a", keys=(key,))])
    record = await world.run()
    error = record.attempts[0].error
    assert error is not None
    # Three of its first characters name no key: they are all the same.
    assert error.startswith("401 xxx")
    assert "sk-p" not in error


async def test_a_certificate_that_is_refused_is_not_tried_again(autojump_clock: MockClock) -> None:
    """Three attempts would be three times the same; a reset would be tried again."""
    world = World([("a", fails(CertificateRefused("no TLS with a:443: its certificate is old")))])
    record = await world.run()
    assert world.causes == ["certificate_refused"]
    assert (record.status, record.end_reason) == (502, "providers_failed")
    # Addresses are the operator's business.
    assert "a:443" not in world.client.error["message"]
    assert "a:443" in (record.attempts[0].error or "")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_refusal_without_end_is_cut_and_not_shown(
    autojump_clock: MockClock, *, stream: bool
) -> None:
    endless: list[Step] = [(0, Head(422)), *[(0, b"x" * 65536)] * 2000]
    world = World([("a", endless)], stream=stream)
    record = await world.run()
    assert world.causes == ["unreadable"]
    assert record.status == 502
    assert len(world.client.text) < 2000
    assert record.end_reason == "providers_failed"
    assert "body is larger than 1048576 bytes" in (record.attempts[0].error or "")


async def test_a_provider_that_cannot_stream_is_not_asked_again(autojump_clock: MockClock) -> None:
    whole: list[Step] = [
        (0, Head(200, ((EVENTS[0], b"application/json"),))),
        (0, b'{"choices":[]}'),
        (0, EOF),
    ]
    world = World([("a", whole), ("b", ok())])
    await world.run()
    assert world.upstream.called == [(0, "a"), (0, "b")]
    assert world.causes == ["not_a_stream", "ok"]
    alone = World([("a", whole)])
    record = await alone.run()
    assert alone.client.status == 502
    # Neither message nor log repeats what may be the answer itself.
    assert "choices" not in str(record.error)


async def test_a_spent_quota_is_no_reason_to_wait(autojump_clock: MockClock) -> None:
    unpaid = b'{"error":{"message":"pay","type":"insufficient_quota","code":"insufficient_quota"}}'
    world = World([("a", [(0, Head(429)), (0, unpaid), (0, EOF)]), ("b", ok())])
    await world.run()
    assert world.upstream.called == [(0, "a"), (0, "b")]
    assert world.causes == ["auth_failed", "ok"]


async def test_a_header_with_control_characters_is_not_relayed(autojump_clock: MockClock) -> None:
    headers = ((b"content-type", b"text/\x1b[31mred"), (b"x-request-id", b"req\x07"))
    world = World([("a", [(0, Head(400, headers)), (0, b"no"), (0, EOF)])])
    await world.run()
    assert world.client.headers[b"content-type"] == b"application/json"
    assert b"x-provider-request-id" not in world.client.headers


@pytest.mark.parametrize(("patience", "until"), [(2.5, 2.5), (900.0, 600.0), (math.inf, 600.0)])
async def test_a_caller_may_give_its_request_less_time(
    autojump_clock: MockClock, patience: float, until: float
) -> None:
    world = World([("a", SILENCE)], timeouts=Timeouts(first_event=0))
    record = await world.run(asked=ClientOptions(timeout=patience))
    assert trio.current_time() == until
    assert (world.client.status, record.end_reason) == (504, "total_timeout")


# Other models...

TOO_LONG = b'{"error":{"message":"too long","code":"context_length_exceeded"}}'
AGAINST_POLICY = b'{"error":{"message":"no","code":"content_policy_violation"}}'
REFUSALS = {
    Cause.CONTEXT_LENGTH: status(400, after=0.5, body=TOO_LONG),
    Cause.CONTENT_POLICY: status(400, after=0.5, body=AGAINST_POLICY),
}


async def test_fallbacks_are_tried_after_all_of_the_model_s_own_routes(
    autojump_clock: MockClock,
) -> None:
    world = World(
        [("a", status(503)), ("b", status(503)), ("c", ok("from c"))],
        routes=["a", "b"],
        fallbacks=[deployment("c")],
    )
    record = await world.run()
    assert trio.current_time() == 0
    assert world.client.text == said("from c")
    assert world.client.headers[b"x-gateway-provider"] == b"c"
    assert world.client.headers[b"x-gateway-attempts"] == b"3"
    assert [row.provider for row in record.attempts] == ["a", "b", "c"]


@pytest.mark.parametrize("cause", REFUSALS)
async def test_another_model_may_take_what_one_refuses(
    autojump_clock: MockClock, cause: Cause
) -> None:
    world = World(
        [("a", REFUSALS[cause]), ("c", ok("from c"))],
        routes=["a", "b"],
        fallbacks=[deployment("c")],
        switch_on=frozenset({cause}),
    )
    await world.run()
    # All routes of one model would say the same.
    assert world.upstream.called == [(0, "a"), (0.5, "c")]
    assert world.causes == [cause.value, "ok"]
    assert world.client.text == said("from c")
    assert world.health["a/real"].consecutive_failures == 0


@pytest.mark.parametrize("cause", REFUSALS)
@pytest.mark.parametrize("switched", [False, True], ids=["not switched on", "the other one"])
async def test_what_is_not_switched_on_is_relayed_as_it_came(
    autojump_clock: MockClock, cause: Cause, switched: bool
) -> None:
    others = frozenset(REFUSALS) - {cause} if switched else frozenset()
    world = World(
        [("a", REFUSALS[cause])], routes=["a"], fallbacks=[deployment("c")], switch_on=others
    )
    record = await world.run()
    assert world.client.status == 400
    assert world.client.text in (TOO_LONG, AGAINST_POLICY)
    assert (world.causes, record.end_reason) == ([cause.value], "provider_rejected")


async def test_a_refusal_that_no_other_model_is_there_for_is_relayed(
    autojump_clock: MockClock,
) -> None:
    cause = Cause.CONTEXT_LENGTH
    world = World([("a", REFUSALS[cause])], routes=["a", "b"], switch_on=frozenset({cause}))
    await world.run()
    assert (world.client.status, world.client.text) == (400, TOO_LONG)


async def test_the_second_model_s_refusal_is_relayed(autojump_clock: MockClock) -> None:
    cause = Cause.CONTEXT_LENGTH
    longer = TOO_LONG.replace(b"too long", b"still too long")
    world = World(
        [("a", REFUSALS[cause]), ("c", status(400, body=longer))],
        routes=["a"],
        fallbacks=[deployment("c")],
        switch_on=frozenset({cause}),
    )
    record = await world.run()
    assert world.client.text == longer
    assert (record.provider, world.causes) == ("c", [cause.value, cause.value])


async def test_failures_say_how_many_attempts_there_were(autojump_clock: MockClock) -> None:
    world = World([("a", status(503)), ("b", status(503)), ("a", status(503))])
    await world.run()
    assert world.client.headers[b"x-gateway-attempts"] == b"3"
    # No provider's answer is shown, so none is named.
    assert b"x-gateway-provider" not in world.client.headers
