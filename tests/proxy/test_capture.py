from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import structlog.testing
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.config.schema import DebugLog
from gateway.core.cache.answers import ModelCache
from gateway.core.capture.capture import Capture, CapturedRequest
from gateway.core.capture.transcript import Transcript, decode, encode
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.records.record import EndReason, Record
from gateway.errors import ClientGone, InvalidRequest, ProvidersFailed, SendStalled
from gateway.proxy.capture import CaptureLog, policy_of
from gateway.proxy.clients.capturing import CapturingClient
from gateway.proxy.exchange import Exchange
from gateway.proxy.operations.chat import serve_chat
from gateway.proxy.protocols import Client

from .scripts import DONE, EOF, Head, ScriptedClient, answer, chunk, ok, status
from .world import KEY, World, body

ALL = DebugLog(sample=1.0)
BODY = b'{"model":"m"}'


class Sink:
    def __init__(self) -> None:
        self.put_in: list[Capture] = []

    def put(self, capture: Capture) -> None:
        self.put_in.append(capture)
        capture.release()

    @property
    def transcript(self) -> Transcript:
        (capture,) = self.put_in
        found = decode(encode(capture))
        assert found is not None
        return found


class Fixture:
    def __init__(self, settings: DebugLog = ALL, room: int = 1 << 20) -> None:
        self.sink = Sink()
        self.captures = CaptureLog(self.sink, lambda: 0.5, room)
        self.captures.configure(settings)

    def begin(self, client: ScriptedClient) -> tuple[Capture, Client]:
        request = CapturedRequest(
            request_id="r",
            time=0.0,
            token="t",
            model="m",
            method="POST",
            target="/",
            headers=(),
            body=BODY,
            arrived=trio.current_time(),
        )
        capture = self.captures.begin(request)
        assert capture is not None
        return capture, CapturingClient(client, capture, OPENAI_CHAT)

    def finish(self, capture: Capture, **record: Any) -> None:
        self.captures.finish(capture, Record(request_id="r", time=0.0, **record))


@pytest.fixture
def fixture() -> Iterator[Fixture]:
    made = Fixture()
    yield made
    assert made.captures.room.taken == 0


def test_the_policy_says_what_the_settings_say() -> None:
    assert policy_of(DebugLog()) is None
    assert policy_of(DebugLog(redact=("user",), folder="x")) is None
    policy = policy_of(
        DebugLog(
            tokens=("a",), models=("m", "openai/*"), errors_only=True, redact=("user",), sample=0.5
        )
    )
    assert policy is not None
    assert (policy.tokens, policy.models) == (frozenset({"a"}), frozenset({"m"}))
    assert (policy.beginnings, policy.sample, policy.errors_only) == (("openai/",), 0.5, True)
    assert [path.text for path in policy.paths] == ["user"]
    with pytest.raises(ValueError, match="nothing follows"):
        policy_of(DebugLog(sample=1.0, redact=("**",)))


def test_settings_can_change() -> None:
    captures = CaptureLog(Sink(), lambda: 0.5)
    assert not captures.selects("a", "m")
    captures.configure(DebugLog(sample=0.6))
    assert captures.selects("a", "m")
    captures.configure(DebugLog(sample=0.4))
    assert not captures.selects("a", "m")
    captures.configure(DebugLog(errors_only=True))
    assert captures.selects(None, "m")
    captures.configure(DebugLog())
    assert captures.policy is None
    assert not captures.selects("a", "m")


async def test_a_stream_passes_and_is_noted(fixture: Fixture, autojump_clock: MockClock) -> None:
    inner = ScriptedClient(BODY)
    capture, client = fixture.begin(inner)
    before = client.status
    assert await client.read_body(100, 1) == BODY
    await client.begin(200, [(b"content-type", b"Text/Event-Stream; charset=utf-8")])
    assert (before, client.status) == (None, 200)
    await trio.sleep(1)
    await client.send(b"data: 1\n\ndata: ")
    await trio.sleep(1)
    await client.finish(b"2\n\n")
    assert inner.text == b"data: 1\n\ndata: 2\n\n"
    assert inner.sealed
    fixture.finish(capture, status=200)
    found = fixture.sink.transcript
    assert [(event.at_ms, event.data) for event in found.events] == [(1000, "1"), (2000, "2")]
    assert found.answer is not None
    assert found.answer.stream


async def test_a_whole_answer_passes_and_is_noted(fixture: Fixture) -> None:
    inner = ScriptedClient(BODY)
    capture, client = fixture.begin(inner)
    await client.reply(201, [(b"x", b"y")], b'{"a":1}')
    assert (inner.status, inner.text, inner.headers[b"x"]) == (201, b'{"a":1}', b"y")
    fixture.finish(capture, status=201)
    found = fixture.sink.transcript
    assert found.answer is not None
    assert (found.answer.status, found.answer.headers) == (201, [("x", "y")])
    assert found.body is not None
    assert found.body.body.text == '{"a":1}'


async def test_a_refusal_passes_and_is_noted_as_it_is_answered(fixture: Fixture) -> None:
    inner = ScriptedClient(BODY)
    capture, client = fixture.begin(inner)
    error = InvalidRequest("not so", param="model")
    await client.refuse(error)
    assert inner.refused is error
    fixture.finish(capture, status=400, end_reason=EndReason.REJECTED)
    found = fixture.sink.transcript
    assert found.answer is not None
    assert found.answer.status == 400
    assert found.body is not None
    assert msgspec.json.decode(found.body.body.data) == msgspec.json.decode(inner.text)


async def test_failures_and_cancellation_pass(fixture: Fixture, autojump_clock: MockClock) -> None:
    capture, client = fixture.begin(ScriptedClient(BODY, stalls=1))
    await client.begin(200, [(b"content-type", b"text/event-stream")])
    with pytest.raises(SendStalled):
        await client.send(b"data: 1\n\n")
    # What was not taken is what somebody will look for.
    fixture.finish(capture, status=200, end_reason=EndReason.SEND_TIMEOUT)
    assert [event.data for event in fixture.sink.transcript.events] == ["1"]

    now = trio.current_time()
    capture, client = fixture.begin(ScriptedClient(BODY, body_at=now + 9, leaves_at=now + 1))
    with pytest.raises(ClientGone):
        await client.read_body(100, 5)
    await client.wait_gone()
    assert trio.current_time() == now + 1
    capture.release()

    capture, client = fixture.begin(ScriptedClient(BODY, pauses={1: 60}))
    await client.begin(200, [])
    with trio.move_on_after(1) as scope:
        await client.send(b"x")
    assert scope.cancelled_caught
    capture.release()


async def test_errors_only_lets_the_others_go() -> None:
    fixture = Fixture(DebugLog(errors_only=True))
    for code, reason, kept in [
        (200, EndReason.COMPLETE, 0),
        (200, EndReason.CACHED, 0),
        (200, EndReason.UPSTREAM_BROKE, 1),
        (200, EndReason.CLIENT_GONE, 2),
        (499, EndReason.CLIENT_GONE, 3),
        (502, EndReason.PROVIDERS_FAILED, 4),
    ]:
        capture, client = fixture.begin(ScriptedClient(BODY))
        await client.reply(code, [], b"{}")
        fixture.finish(capture, status=code, end_reason=reason)
        assert len(fixture.sink.put_in) == kept
        assert fixture.captures.room.taken == 0


async def test_without_room_the_answer_still_passes() -> None:
    fixture = Fixture(room=len(BODY) + 40)
    inner = ScriptedClient(BODY)
    capture, client = fixture.begin(inner)
    await client.begin(200, [])
    for _ in range(10):
        await client.send(b"12345678")
    await client.finish(b"9")
    assert inner.text == b"12345678" * 10 + b"9"
    fixture.finish(capture, status=200)
    assert (fixture.sink.put_in, fixture.captures.given_up) == ([], 1)
    assert fixture.captures.room.taken == 0
    assert "0 of" in repr(fixture.captures)


# With a whole proxy around it...


async def captured(
    world: World, settings: DebugLog = ALL, *, all_played: bool = True, cached: bool = False
) -> tuple[Record, Sink]:
    fixture = Fixture(settings)
    world.captures = fixture.captures

    async def work(exchange: Exchange) -> None:
        await serve_chat(exchange, KEY)

    headers = {b"x-api-key": KEY, b"accept": b"a"}
    await world.exchange(work=work, headers=headers)
    # A shared call may end a moment later than its caller, and then writes the record.
    await wait_all_tasks_blocked()
    if not cached:
        world.check(all_played=all_played)
    assert fixture.captures.room.taken == 0
    return world.record, fixture.sink


async def test_a_stream_through_the_proxy(autojump_clock: MockClock) -> None:
    world = World([("a", ok("hi"))])
    record, sink = await captured(world)
    assert record.end_reason == "complete"
    found = sink.transcript
    sent = b"".join(b"data: " + (event.data or "").encode() + b"\n\n" for event in found.events)
    assert sent == world.client.text
    assert found.events[-1].data == "[DONE]"
    assert found.request.headers == [("x-api-key", "[redacted]"), ("accept", "a")]
    assert found.end is not None
    assert found.end.record == msgspec.to_builtins(record)


async def test_a_whole_answer_through_the_proxy(autojump_clock: MockClock) -> None:
    world = World([("a", answer("hi"))], stream=False)
    _, sink = await captured(world)
    found = sink.transcript
    assert found.body is not None
    assert found.body.body.data == world.client.text


async def test_failures_through_the_proxy(autojump_clock: MockClock) -> None:
    errors = DebugLog(errors_only=True)
    world = World([("a", status(400))])
    record, sink = await captured(world, errors)
    assert (record.status, sink.transcript.answer and sink.transcript.answer.status) == (400, 400)

    world = World([("a", status(500))] * 3, routes=["a"])
    record, sink = await captured(world, errors, all_played=False)
    assert isinstance(world.client.refused, ProvidersFailed)
    assert sink.transcript.answer is not None
    assert sink.transcript.answer.status == record.status == 502

    world = World([("a", [(0, Head()), (0, chunk("hi")), (1, EOF)])])
    record, sink = await captured(world, errors)
    assert record.end_reason == "upstream_broke"
    assert "error" in (sink.transcript.events[-1].data or "")

    leaving = ScriptedClient(body(), leaves_at=trio.current_time() + 1)
    world = World([("a", ok("hi", after=5))], client=leaving)
    record, sink = await captured(world, errors, all_played=False)
    assert record.end_reason == "client_gone"
    assert sink.transcript.answer is None
    assert math.isclose(record.latency_ms, 1000.0, abs_tol=0.001)

    world = World([("a", ok("hi"))])
    _, sink = await captured(world, errors)
    assert sink.put_in == []
    assert DONE in world.client.text


async def test_who_is_not_selected_is_not_noted(autojump_clock: MockClock) -> None:
    for settings, noted in [
        (DebugLog(), 0),
        (DebugLog(tokens=("other",)), 0),
        (DebugLog(sample=0.4), 0),
        (DebugLog(tokens=("tester",)), 1),
        (DebugLog(models=("m",)), 1),
        (DebugLog(sample=0.6), 1),
    ]:
        _, sink = await captured(World([("a", ok("hi"))]), settings)
        assert len(sink.put_in) == noted


async def test_a_shared_call_is_noted_once_for_its_caller(autojump_clock: MockClock) -> None:
    world = World([("a", ok("hi", after=1))], cache=ModelCache(ttl=60, coalesce=True))
    async with trio.open_nursery() as nursery:
        await nursery.start(world.cache.flights.run)
        _, sink = await captured(world)
        nursery.cancel_scope.cancel("done")
    found = sink.transcript
    sent = b"".join(b"data: " + (event.data or "").encode() + b"\n\n" for event in found.events)
    assert sent == world.client.text
    assert found.end is not None
    assert found.end.record is not None
    assert found.end.record["end_reason"] == "complete"
    # What the flight has come to, and not only what its first caller knows.
    assert found.end.record["provider"] == "a"
    assert len(found.end.record["attempts"]) == 1
    assert found.end.record["input_tokens"] is not None


async def test_a_cached_answer_is_noted_as_any_other(autojump_clock: MockClock) -> None:
    first = World([("a", ok("hi"))], cache=ModelCache(ttl=60))
    await captured(first)
    second = World([], routes=["a"], cache=ModelCache(ttl=60))
    second.cache = first.cache
    record, sink = await captured(second, cached=True)
    assert record.end_reason == "cached"
    assert [event.data for event in sink.transcript.events][-1] == "[DONE]"


@pytest.mark.parametrize(
    ("where", "stream"),
    [
        ("gateway.core.capture.capture.CapturePolicy.selects", True),
        ("gateway.core.capture.capture.Capture.__init__", True),
        ("gateway.core.capture.capture.Capture.head", True),
        ("gateway.core.capture.capture.Capture.add", True),
        ("gateway.core.capture.capture.Capture.head", False),
        ("gateway.core.capture.capture.Capture.add", False),
        ("gateway.core.capture.capture.CapturePolicy.keeps", True),
        ("tests.proxy.test_capture.Sink.put", True),
    ],
)
async def test_a_fault_of_the_debug_log_costs_no_request(
    where: str, stream: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(where, broken)
    world = World([("a", ok("hi") if stream else answer("hi"))], stream=stream)
    with structlog.testing.capture_logs() as logs:
        record, sink = await captured(world)
    assert (world.client.status, record.end_reason) == (200, "complete")
    assert b"hi" in world.client.text
    assert sink.put_in == []
    assert [line["log_level"] for line in logs] == ["error"]
