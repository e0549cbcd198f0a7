"""Sessions over WebSocket: Realtime and Responses, between real sockets."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from wsproto.events import BytesMessage, Ping, TextMessage

from gateway.core.records.record import EndReason, Record
from tests.late import openai

from .harness import QUIET, InProcess, config, in_process
from .provider import until
from .socket_peers import (
    Refused,
    SocketPeer,
    SocketProvider,
    bytes_message,
    opened,
    socket_provider,
    text_message,
)

pytestmark = pytest.mark.slow

REALTIME: Final = "/v1/realtime?model=m"
TOKENS: Final = """
[[tokens]]
name = "a"
key = "sk-caller-a"
[[tokens]]
name = "one"
key = "sk-only-one"
max_concurrent = 1
[[tokens]]
name = "rate"
key = "sk-two-a-minute"
rpm = 2
[[tokens]]
name = "poor"
key = "sk-little-money"
budget = { usd = 0.00005 }
[[tokens]]
name = "few"
key = "sk-other-models"
models = ["other"]
"""
MODELS: Final = '[[models]]\nname = "other"\nroutes = [{ provider = "p0", model = "z" }]\n'
A: Final = "sk-caller-a"
USAGE: Final = {
    "total_tokens": 30,
    "input_tokens": 20,
    "output_tokens": 10,
    "input_token_details": {
        "text_tokens": 5,
        "audio_tokens": 15,
        "cached_tokens": 4,
        "cached_tokens_details": {"text_tokens": 4, "audio_tokens": 0},
    },
    "output_token_details": {"text_tokens": 4, "audio_tokens": 6},
}


def read(data: str | bytes | bytearray) -> dict[str, Any]:
    """Return an object; an empty one for what is none, or a part of one."""
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


async def talkative(peer: SocketPeer) -> None:
    """Greet, answer `response.create` with usage, and repeat the rest."""
    await peer.say(type="session.created", session={"model": "real-model"})
    while isinstance(event := await peer.event(), TextMessage | BytesMessage):
        said = read(event.data)
        if said.get("type") == "response.create":
            await peer.say(type="response.created", response={})
            if said.get("hang"):
                continue
            await peer.say(type="response.done", response={"status": "completed", "usage": USAGE})
        elif said.get("type") == "leave":
            await peer.close(said["code"], said["reason"])
        elif said.get("type") == "break":
            return
        else:
            await peer.send(event)


def text(first: SocketProvider, *others: SocketProvider, **more: str) -> str:
    ports = [first.port, *(each.port for each in others)]
    return config(*ports, **{"tokens": TOKENS, "models": MODELS, **more})


async def test_a_session_is_relayed_and_recorded() -> None:
    async with socket_provider(talkative) as provider, in_process(text(provider)) as gateway:
        headers = (
            ("openai-beta", "realtime=v1"),
            ("cookie", "c=d"),
            ("x-forwarded-for", "1.2.3.4"),
        )
        async with opened(gateway.port, REALTIME, key=A, headers=headers) as caller:
            assert (await caller.hear())["type"] == "session.created"
            assert "set-cookie" not in caller.headers
            assert caller.headers["x-provider-request-id"] == "theirs"
            assert caller.headers["x-gateway-provider"] == "p0"
            await caller.say(type="input_audio_buffer.append", audio="AAAA")
            assert (await caller.hear())["audio"] == "AAAA"
            for _ in range(2):
                await caller.say(type="response.create")
                assert (await caller.hear())["type"] == "response.created"
                assert (await caller.hear())["type"] == "response.done"
            await caller.close(4001, "enough")
            assert await caller.end() == (4001, "")
        record = await gateway.record()
        session = provider.sessions[0]
        assert session.closed == (4001, "enough")
        assert session.target == "/v1/realtime?model=real-model"
        assert session.headers["authorization"] == "Bearer sk-provider"
        assert session.headers["openai-beta"] == "realtime=v1"
        assert not {"cookie", "x-forwarded-for", "sec-websocket-protocol"} & session.headers.keys()
        assert A not in repr(session.headers)
        assert (record.operation, record.status, record.stream) == ("realtime", 101, True)
        assert (record.end_reason, record.error) == (EndReason.COMPLETE, None)
        assert (record.token, record.model, record.provider) == ("a", "m", "p0")
        assert (record.input_tokens, record.output_tokens, record.cached_tokens) == (40, 20, 8)
        assert (record.input_audio_tokens, record.output_audio_tokens) == (30, 12)
        # 20 tokens at 1 and 10 at 2 dollars a million, twice.
        assert (record.cost_nano_usd, record.events) == (80_000, 6)
        assert [each.cause for each in record.attempts] == [None]
        await gateway.settled()


async def test_the_paths_and_how_a_key_and_a_model_are_shown() -> None:
    async with socket_provider(talkative) as provider, in_process(text(provider)) as gateway:
        for target, headers in (
            ("/realtime?model=m", (("authorization", f"Bearer {A}"),)),
            ("/v1/v1/realtime?model=m", (("api-key", A),)),
            ("/openai/realtime?api-version=2025-04-01-preview&deployment=m", (("api-key", A),)),
            ("/openai/v1/realtime?model=m&intent=other", (("api-key", A),)),
            (f"/v1/realtime?model=m&key={A}", ()),
            ("/v1/realtime/translations?model=m", (("api-key", A),)),
        ):
            async with opened(gateway.port, target, headers=headers) as caller:
                assert (await caller.hear())["type"] == "session.created", target
        intent = [each.target.partition("&")[2] for each in provider.sessions]
        assert intent == ["", "", "", "intent=other", "", ""]
        assert provider.sessions[-1].target.startswith("/v1/realtime/translations?")

        offered = [
            "realtime",
            f"openai-insecure-api-key.{A}",
            "openai-project.p",
            "openai-beta.realtime-v1",
        ]
        async with opened(gateway.port, REALTIME, subprotocols=offered) as caller:
            assert caller.subprotocol == "realtime"
            assert (await caller.hear())["type"] == "session.created"
        assert provider.sessions[-1].offered == ["realtime", "openai-beta.realtime-v1"]
        await gateway.settled()
        assert {each.end_reason for each in gateway.records} == {EndReason.CLIENT_GONE}


async def refused(port: int, target: str, **how: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        async with opened(port, target, **how):
            pass
    return caught.value


async def test_what_is_wrong_is_said_before_the_upgrade() -> None:
    async with socket_provider(talkative) as provider, in_process(text(provider)) as gateway:
        for target, key, status, code in (
            (REALTIME, None, 401, "invalid_api_key"),
            (REALTIME, "sk-of-nobody", 401, "invalid_api_key"),
            (REALTIME, "sk-other-models", 403, "model_not_found"),
            ("/v1/realtime?model=none", A, 404, "model_not_found"),
            ("/v1/realtime", A, 400, "invalid_request"),
            ("/v1/realtime?model=m&deployment=other", A, 400, "invalid_request"),
            # Providers that have them by HTTP alone: clients send a POST then.
            ("/v1/responses", A, 426, "upgrade_required"),
            ("/v1/chat/completions", A, 426, "upgrade_required"),
        ):
            found = await refused(gateway.port, target, key=key)
            assert (found.status, found.error["code"]) == (status, code), target
            assert found.headers["x-request-id"]
        assert provider.sessions == []
        await gateway.settled()

        # What is no opening of a WebSocket.
        headers = (("sec-websocket-version", "12"),)
        stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
        await stream.send_all(
            b"GET /v1/realtime?model=m HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\n"
            b"connection: upgrade\r\nsec-websocket-key: nothing\r\n\r\n"
        )
        assert b" 426 " in await stream.receive_some()
        await trio.aclose_forcefully(stream)
        del headers


async def test_another_provider_takes_over_until_one_has_spoken() -> None:
    async def closing(peer: SocketPeer) -> None:
        await peer.close(1013, "try again later")

    async def failing(peer: SocketPeer) -> None:
        await peer.say(type="error", error={"message": "too much", "code": "rate_limit_exceeded"})

    async with (
        socket_provider(talkative) as refusing,
        socket_provider(closing) as closed,
        socket_provider(failing) as failed,
        socket_provider(talkative) as good,
        in_process(
            text(refusing, closed, failed, good, retry="max_attempts = 6\nbase = 0.01")
        ) as gateway,
    ):
        refusing.refusals.append((503, {"error": {"message": "down", "code": None}}))
        async with opened(gateway.port, REALTIME, key=A) as caller:
            assert caller.headers["x-gateway-provider"] == "p3"
            assert (await caller.hear())["type"] == "session.created"
            await caller.close()
            await caller.end()
        record = await gateway.record()
        causes = [each.cause for each in record.attempts]
        assert causes[-1] is None
        assert "rate_limited" in causes
        assert record.provider == "p3"
        await gateway.settled()

    async with socket_provider(talkative) as provider, in_process(text(provider)) as gateway:
        said = {"error": {"message": "no such voice", "code": "bad_voice", "type": "x"}}
        provider.refusals.append((400, said))
        found = await refused(gateway.port, REALTIME, key=A)
        assert (found.status, json.loads(found.body)) == (400, said)
        provider.refusals.append((401, {"error": {"message": "key sk-provider is bad"}}))
        found = await refused(gateway.port, REALTIME, key=A)
        assert found.status == 502
        assert b"sk-provider" not in found.body
        await gateway.settled()


async def test_no_frame_has_a_key_of_ours() -> None:
    key = "sk-prov1der/9"

    async def echoing(peer: SocketPeer) -> None:
        await peer.say(type="session.created", session={"model": "real-model", "key": key})
        await talkative(peer)

    async with socket_provider(echoing) as provider:
        config = text(provider).replace("sk-provider", key)
        async with in_process(config) as gateway:
            async with opened(gateway.port, REALTIME, key=A) as caller:
                assert (await caller.hear())["session"]["key"] == "***"
                await caller.hear()
                for said in (key, key.replace("/", "\\/"), key.replace("-", "\\u002d")):
                    await caller.send(text_message('{"type":"x","text":"%s"}' % said))  # noqa: UP031
                    assert await caller.hear() == {"type": "x", "text": "***"}
                    await caller.send(bytes_message(said.encode()))
                    event = await caller.event()
                    assert isinstance(event, BytesMessage)
                    assert event.data == b"***"
                await caller.say(type="leave", code=4000, reason=f"bad key {key}")
                assert await caller.end() == (4000, "bad key ***")
            record = await gateway.record()
            assert key not in (record.error or "")
            assert "bad key ***" in (record.error or "")


async def test_frames_are_passed_on_as_they_are() -> None:
    server = "max_body_bytes = 300000\nmax_event_bytes = 300000"
    async with (
        socket_provider(talkative) as provider,
        in_process(text(provider, server=server)) as gateway,
    ):
        async with opened(gateway.port, REALTIME, key=A) as caller:
            await caller.hear()
            frames = [
                (bytes_message(b"\x00\xff", finished=False), bytes_message(b"\x01")),
                (text_message('{"a":', finished=False), text_message("", finished=False),
                 text_message('"\u00e9"}')),
                (bytes_message(bytes(250_000)),),
            ]  # fmt: skip
            # The provider repeats each event: a frame larger than a read comes in parts here.
            for parts in frames:
                for part in parts:
                    await caller.send(part)
                got: Any = b"" if isinstance(parts[0].data, bytes) else ""
                count = 0
                while True:
                    event = await caller.event()
                    assert isinstance(event, TextMessage | BytesMessage)
                    got += event.data
                    count += event.frame_finished
                    if event.message_finished:
                        break
                assert got == type(got)().join(part.data for part in parts)
                assert count == len(parts) or len(got) > 65536
            await caller.send(Ping(payload=b"mine"))
            await caller.say(type="x")
            await caller.hear()
            assert caller.pongs == [b"mine"]
            assert provider.sessions[0].pongs == []
        # Larger than is allowed, in one frame and in many, which may be empty.
        part = bytes_message(b"", finished=False)
        for large in ([bytes_message(bytes(310_000))], [part] * 5000):
            async with opened(gateway.port, REALTIME, key=A) as caller:
                await caller.hear()
                await caller.stream.send_all(b"".join(caller.ws.send(each) for each in large))
                closed = await caller.end()
                assert closed is not None
                assert closed[0] == 1009
        await gateway.settled()
        await until(lambda: provider.open == 0, "the provider's side to be closed")


async def test_whoever_leaves_ends_the_other_side_at_once() -> None:
    async with socket_provider(talkative) as provider, in_process(text(provider)) as gateway:
        # At many points: before the greeting, behind it, inside an answer.
        for count in range(8):
            async with opened(gateway.port, REALTIME, key=A) as caller:
                for number in range(count):
                    if number == 0:
                        await caller.hear()
                    await caller.say(type="response.create", hang=number % 2)
            with trio.fail_after(30):
                await until(lambda: provider.open == 0, "the provider's side to be closed")
        await gateway.settled()
        assert {each.end_reason for each in gateway.records} == {EndReason.CLIENT_GONE}
        assert len(gateway.records) == 8

        # The provider breaks off, in and outside of an answer.
        for hang in (True, False):
            async with opened(gateway.port, REALTIME, key=A) as caller:
                await caller.hear()
                if hang:
                    await caller.say(type="response.create", hang=True)
                    await caller.hear()
                await caller.say(type="break")
                error = await caller.hear()
                assert (error["type"], error["error"]["code"]) == ("error", "upstream_broke")
                closed = await caller.end()
                assert closed is not None
                assert closed[0] == 1011
            record = await gateway.record(9 if hang else 10)
            assert (record.end_reason, record.attempts[0].cause) == (
                EndReason.UPSTREAM_BROKE,
                "truncated",
            )
            # Nobody knows what the answer took that was under way.
            assert record.cost_nano_usd == (None if hang else 0)

        # It closes in order, for whatever reason.
        for code, end in ((1000, EndReason.COMPLETE), (4100, EndReason.UPSTREAM_BROKE)):
            async with opened(gateway.port, REALTIME, key=A) as caller:
                await caller.hear()
                await caller.say(type="leave", code=code, reason="because")
                assert await caller.end() == (code, "because")
            await until(lambda: len(gateway.records) >= 11, "a record")
            assert gateway.records[-1].end_reason is end
        await gateway.settled()


async def test_limits_hold_as_for_requests() -> None:
    async with socket_provider(talkative) as provider, in_process(text(provider)) as gateway:
        async with opened(gateway.port, REALTIME, key="sk-only-one") as caller:
            await caller.hear()
            found = await refused(gateway.port, REALTIME, key="sk-only-one")
            assert (found.status, found.error["code"]) == (429, "rate_limit_exceeded")
        await gateway.settled()
        async with opened(gateway.port, REALTIME, key="sk-only-one") as caller:
            await caller.hear()
        for _ in range(2):
            async with opened(gateway.port, REALTIME, key="sk-two-a-minute") as caller:
                assert caller.headers["x-ratelimit-limit-requests"] == "2"
                await caller.hear()
        found = await refused(gateway.port, REALTIME, key="sk-two-a-minute")
        assert found.status == 429
        assert float(found.headers["retry-after"]) > 0

        # 40,000 nano-dollars an answer, of 50,000: the second uses the budget up.
        async with opened(gateway.port, REALTIME, key="sk-little-money") as caller:
            await caller.hear()
            for _ in range(2):
                await caller.say(type="response.create")
                await caller.hear()
                await caller.hear()
            with trio.fail_after(30):
                error = await caller.hear()
                assert error["error"]["code"] == "insufficient_quota"
                closed = await caller.end()
            assert closed is not None
            assert closed[0] == 1008
        await gateway.settled()
        record = gateway.records[-1]
        assert (record.end_reason, record.error_code) == (EndReason.REJECTED, "insufficient_quota")
        assert record.cost_nano_usd == 80_000
        assert (await refused(gateway.port, REALTIME, key="sk-little-money")).status == 429


async def ended(
    gateway: InProcess, caller: SocketPeer, code: str, close: int, record: int = 1
) -> Record:
    with trio.fail_after(30):
        error = await caller.hear()
        assert (error["type"], error["error"]["code"]) == ("error", code)
        closed = await caller.end()
    assert closed is not None
    assert closed[0] == close
    return await gateway.record(record)


async def test_what_ends_a_session_from_here() -> None:
    server = "session_timeout = 1.5"
    async with (
        socket_provider(talkative) as provider,
        in_process(text(provider, server=server)) as gateway,
        opened(gateway.port, REALTIME, key=A) as caller,
    ):
        await caller.hear()
        record = await ended(gateway, caller, "websocket_connection_limit_reached", 1001)
        assert record.end_reason is EndReason.COMPLETE
        assert record.attempts[0].cause is None

    server = "session_idle_timeout = 0.2"
    async with (
        socket_provider(talkative) as provider,
        in_process(text(provider, server=server, timeouts="idle = 1.5")) as gateway,
    ):
        async with opened(gateway.port, REALTIME, key=A) as caller:
            await caller.hear()
            await ended(gateway, caller, "websocket_connection_limit_reached", 1001)
        async with opened(gateway.port, REALTIME, key=A) as caller:
            await caller.hear()
            await caller.say(type="response.create", hang=True)
            await caller.hear()
            record = await ended(gateway, caller, "idle_timeout", 1011, 2)
            assert (record.end_reason, record.attempts[0].cause) == (
                EndReason.IDLE_TIMEOUT,
                "idle_timeout",
            )

    async with (
        socket_provider(talkative) as provider,
        in_process(text(provider)) as gateway,
    ):
        async with opened(gateway.port, REALTIME, key=A) as caller:
            await caller.hear()
            (ender,) = gateway.lifecycle._enders
            ender.__self__.cancel()  # type: ignore[attr-defined]
            record = await ended(gateway, caller, "cancelled_by_operator", 1008)
            assert record.end_reason is EndReason.CANCELLED
        async with opened(gateway.port, REALTIME, key=A) as caller:
            await caller.hear()
            gateway.lifecycle.end_requests()
            record = await ended(gateway, caller, "server_shutting_down", 1001, 2)
            assert record.end_reason is EndReason.SHUTTING_DOWN
        await gateway.settled()


async def test_a_slow_reader_makes_the_other_side_wait() -> None:
    sent = 0

    async def flooding(peer: SocketPeer) -> None:
        nonlocal sent
        await peer.say(type="session.created")
        while True:
            await peer.send(bytes_message(bytes(100_000)))
            sent += 100_000

    async with (
        socket_provider(flooding) as provider,
        in_process(text(provider)) as gateway,
        opened(gateway.port, REALTIME, key=A) as caller,
    ):
        await caller.hear()
        before = -1
        while before != sent:
            before = sent
            await trio.sleep(0.5)
        # What sockets hold, and little more.
        assert sent < 20_000_000
        for _ in range(400):
            assert isinstance(await caller.event(), BytesMessage)
    await until(lambda: provider.open == 0, "the provider's side to be closed")


async def test_messages_have_a_share_of_the_memory_for_bodies() -> None:
    more = MODELS + "[limits]\nqueue_timeout = 1.0\n"
    server, overload = "max_body_bytes = 1000000", "lag = 0\nmax_body_memory = 2000000"
    large = "x" * 800_000
    begun = '{"type": "' + large
    async with (
        socket_provider(talkative) as provider,
        in_process(text(provider, server=server, overload=overload, models=more)) as gateway,
        opened(gateway.port, REALTIME, key=A) as caller,
        opened(gateway.port, REALTIME, key="sk-only-one") as other,
    ):
        bodies = gateway.bodies
        assert bodies is not None
        for each in (caller, other):
            await each.hear()
        await caller.send(text_message(begun, finished=False))
        await until(lambda: bodies.held > 800_000, "the message to be counted as it comes")
        # The rest of this caller's share is too little for another one, in whatever session.
        async with opened(gateway.port, REALTIME, key=A) as second:
            await second.hear()
            await second.stream.send_all(second.ws.send(text_message(large)))
            error = (await second.hear())["error"]
            assert error["code"] == "overloaded"
            closed = await second.end()
            assert closed is not None
        assert bodies.held < 1_000_000
        # But neither for its small ones nor for those of others.
        async with opened(gateway.port, REALTIME, key=A) as third:
            await third.hear()
            await third.say(type="x")
            await third.hear()
            await third.close()
        await other.send(text_message(json.dumps({"type": large})))
        assert len((await other.hear())["type"]) == 800_000
        await until(lambda: bodies.held < 1_000_000, "what was passed on to be given back")
        await caller.send(text_message('"}'))
        assert len((await caller.hear())["type"]) == 800_000
        await until(lambda: bodies.held == 0, "all of it to be given back")
        # A caller that leaves in the middle of a message holds nothing either.
        await other.send(text_message(large, finished=False))
        await until(lambda: bodies.held > 800_000, "the message to be counted")
        await trio.aclose_forcefully(other.stream)
        await until(lambda: bodies.held == 0, "it to be given back")


async def test_the_first_message_of_responses_is_counted_while_it_may_be_sent_again() -> None:
    async with (
        socket_provider(talkative) as provider,
        in_process(text(provider, provider='api = "both"\nresponses_websocket = true')) as gateway,
        opened(gateway.port, "/v1/responses", key=A) as caller,
    ):
        bodies = gateway.bodies
        assert bodies is not None
        await caller.say(type="response.create", model="m", input="x" * 100_000)
        await caller.hear()
        assert 100_000 < bodies.held < 110_000
        await caller.close()
        await until(lambda: bodies.held == 0, "it to be given back")


async def test_the_model_of_a_session_is_the_one_that_was_asked_for() -> None:
    async with socket_provider(talkative) as provider, in_process(text(provider)) as gateway:
        async with opened(gateway.port, REALTIME, key=A) as caller:
            await caller.hear()
            await caller.say(type="session.update", session={"model": "m", "voice": "alloy"})
            assert (await caller.hear())["session"] == {"model": "real-model", "voice": "alloy"}
            for session in ({"model": "other"}, {"model": "real-model"}):
                await caller.say(type="session.update", session=session)
                error = await caller.hear()
                assert (error["type"], error["error"]["code"]) == ("error", "model_changed")
            # Open to two readings, or none at all.
            for said in (
                '{"type":"session.update","session":{"model":"m","model":"other"}}',
                '{"type":"session.update","session":{"Model":"other"}}',
                '{"type":"session.update","session":{"model":"other"},"type":"x"}',
                "not JSON",
            ):
                await caller.send(text_message(said))
                assert (await caller.hear())["type"] == "error", said
                await caller.send(bytes_message(said.encode()))
                if said.startswith("{"):
                    assert (await caller.hear())["type"] == "error", said
                else:
                    assert isinstance(await caller.event(), BytesMessage)
            await caller.say(
                type="session.update",
                session={"audio": {"input": {"transcription": {"model": "w"}}}},
            )
            assert (await caller.hear())["type"] == "session.update"
        await gateway.settled()


# Responses...

RESPONSE_USAGE: Final = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60},
    "output_tokens": 10,
    "total_tokens": 110,
}


async def responding(peer: SocketPeer) -> None:
    number = 0
    while isinstance(event := await peer.event(), TextMessage):
        said = json.loads(event.data)
        number += 1
        if said.get("input") == "fail":
            await peer.say(
                type="error", status=429, error={"message": "m", "code": "rate_limit_exceeded"}
            )
            continue
        response = {"id": f"resp_{number}", "asked": said}
        await peer.say(type="response.created", response={**response, "store": True})
        await peer.say(type="response.completed", response={**response, "usage": RESPONSE_USAGE})


SPEAKS: Final = 'api = "responses"\nresponses_websocket = true'


async def test_responses_one_after_another() -> None:
    async with (
        socket_provider(responding) as provider,
        in_process(text(provider, provider=SPEAKS)) as gateway,
    ):
        async with opened(gateway.port, "/v1/responses", key=A) as caller:
            for number in (1, 2):
                await caller.say(
                    type="response.create", model="m", input="hi", previous_response_id=None
                )
                created = await caller.hear()
                assert created["response"]["id"] == f"resp_{number}"
                assert created["response"]["asked"]["model"] == "real-model"
                assert (await caller.hear())["type"] == "response.completed"
            await caller.say(type="response.create", model="m", input="fail")
            assert (await caller.hear())["error"]["code"] == "rate_limit_exceeded"
            # Another model is another connection: the code at which Codex makes one.
            await caller.say(type="response.create", model="other", input="hi")
            error = await caller.hear()
            assert error["error"]["code"] == "websocket_connection_limit_reached"
            closed = await caller.end()
            assert closed is not None
            assert closed[0] == 1001
        record = await gateway.record()
        assert provider.sessions[0].target == "/v1/responses"
        assert (record.operation, record.model, record.end_reason) == (
            "responses_socket",
            "m",
            EndReason.COMPLETE,
        )
        assert (record.input_tokens, record.cached_tokens, record.output_tokens) == (200, 120, 20)
        assert record.cost_nano_usd == 240_000

        for first, code in (
            ({"type": "response.create", "model": "none"}, "model_not_found"),
            ({"type": "response.create"}, "invalid_request"),
            (
                {"type": "response.create", "model": "m", "route": "fallback"},
                "override_not_allowed",
            ),
        ):
            async with opened(gateway.port, "/v1/responses", key=A) as caller:
                await caller.say(**first)
                error = await caller.hear()
                assert (error["type"], error["error"]["code"]) == ("error", code)
                assert error["status"] >= 400
                closed = await caller.end()
                assert closed is not None
                assert closed[0] == 1008
        await gateway.settled()

        # Each response is a request to the limits.
        async with opened(gateway.port, "/v1/responses", key="sk-two-a-minute") as caller:
            for _ in range(2):
                await caller.say(type="response.create", model="m", input="hi")
                await caller.hear()
                await caller.hear()
            await caller.say(type="response.create", model="m", input="hi")
            error = await caller.hear()
            assert (error["status"], error["error"]["code"]) == (429, "rate_limit_exceeded")
        await gateway.settled()


async def test_responses_fall_back_until_the_first_event() -> None:
    async def failing(peer: SocketPeer) -> None:
        await peer.event()
        await peer.say(
            type="error", status=429, error={"message": "m", "code": "rate_limit_exceeded"}
        )

    async with (
        socket_provider(failing) as first,
        socket_provider(responding) as second,
        in_process(text(first, second, provider=SPEAKS)) as gateway,
    ):
        async with opened(gateway.port, "/v1/responses", key=A) as caller:
            await caller.say(type="response.create", model="m", input="hi")
            assert (await caller.hear())["type"] == "response.created"
            await caller.hear()
            await caller.close()
            await caller.end()
        record = await gateway.record()
        assert [each.provider for each in record.attempts][-1] == "p1"
        await gateway.settled()


# The library that the SDK uses says so of the way in which it is used.
@pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")
async def test_the_official_sdk() -> None:
    def realtime(port: int) -> list[str]:
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=A, max_retries=0)
        with client.realtime.connect(model="m") as connection:
            kinds: list[str] = [connection.recv().type]
            connection.session.update(session={"type": "realtime", "instructions": "be brief"})
            kinds.append(connection.recv().type)
            connection.response.create()
            kinds += [connection.recv().type, connection.recv().type]
        with pytest.raises(Exception, match="404"), client.realtime.connect(model="none"):
            pass
        return kinds

    def responses(port: int) -> list[str]:
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=A, max_retries=0)
        with client.responses.connect() as connection:
            connection.response.create(model="m", input="hi")
            return [str(connection.recv().type) for _ in range(2)]

    run = trio.to_thread.run_sync
    async with socket_provider(talkative) as provider, in_process(text(provider)) as gateway:
        assert await run(realtime, gateway.port) == [
            "session.created",
            "session.update",
            "response.created",
            "response.done",
        ]
        await gateway.settled()
        assert gateway.records[0].end_reason is EndReason.COMPLETE
    async with (
        socket_provider(responding) as provider,
        in_process(text(provider, provider=SPEAKS)) as gateway,
    ):
        found = await run(responses, gateway.port)
        assert found == ["response.created", "response.completed"]
        await gateway.settled()


async def test_a_key_that_is_taken_away_ends_its_sessions(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    async with socket_provider(talkative) as provider:
        before = text(provider)
        file.write_text(before + QUIET)
        async with (
            in_process(before, file) as gateway,
            opened(gateway.port, REALTIME, key=A) as revoked,
            opened(gateway.port, REALTIME, key="sk-only-one") as stays,
            opened(gateway.port, "/v1/realtime?model=other", key="sk-other-models") as moved,
        ):
            for caller in (revoked, stays, moved):
                await caller.hear()
            now = before.replace(A, "sk-another-secret").replace(
                'models = ["other"]', 'models = ["m"]'
            )
            file.write_text(now + QUIET)
            assert (await gateway.application.reload("test")).reloaded
            with trio.fail_after(30):
                for caller, code in ((revoked, "invalid_api_key"), (moved, "model_not_found")):
                    error = await caller.hear()
                    assert error["error"]["code"] == code
                    closed = await caller.end()
                    assert closed is not None
                    assert closed[0] == 1008
            await stays.say(type="x")
            assert (await stays.hear())["type"] == "x"
        await until(lambda: provider.open == 0, "the provider's side to be closed")
        assert [each.end_reason for each in gateway.records[:2]] == [EndReason.REJECTED] * 2


def logged(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in folder.rglob("*.jsonl.gz")
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]


async def test_the_debug_log_has_both_sides(tmp_path: Path) -> None:
    log = f'[debug_log]\nsample = 1.0\nfolder = "{tmp_path}"\n'
    async with (
        socket_provider(talkative) as provider,
        in_process(text(provider) + log) as gateway,
    ):
        async with opened(gateway.port, REALTIME, key=A) as caller:
            await caller.hear()
            await caller.say(type="hello", key=A)
            await caller.hear()
            await caller.close()
            await caller.end()
        await gateway.settled()
    lines = logged(tmp_path)
    events = [(each["name"], json.loads(each["data"])) for each in lines if each["kind"] == "event"]
    assert [(name, data["type"]) for name, data in events] == [
        ("provider", "session.created"),
        ("caller", "hello"),
        ("provider", "hello"),
    ]
    assert A not in repr(lines)


async def test_no_web_page_opens_a_session_with_an_open_gateway() -> None:
    async with (
        socket_provider(talkative) as provider,
        in_process(config(provider.port)) as gateway,
    ):
        own = (("origin", f"http://127.0.0.1:{gateway.port}"),)
        for headers in ((), own):
            async with opened(gateway.port, REALTIME, headers=headers) as caller:
                await caller.hear()
        headers = (("origin", "https://evil.example"),)
        found = await refused(gateway.port, REALTIME, headers=headers)
        assert (found.status, found.error["code"]) == (403, "origin_not_allowed")
        assert found.headers["connection"] == "close"
        await gateway.settled()
