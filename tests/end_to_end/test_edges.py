"""Callers at the edge of HTTP: what they send, and how their connection ends."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections.abc import AsyncIterator

import pytest
import trio

from gateway.core.records.record import EndReason
from gateway.proxy.traffic import turns

from .caller import chat_body
from .harness import PATIENCE, InProcess, config, in_process
from .provider import Provider, serving, until
from .wire import DONE, LAST_CHUNK, STALL, Script, event, framed, stream_head

SILENT: Script = [(0.0, stream_head()), (0.0, STALL)]


def request(body: bytes, *headers: bytes) -> bytes:
    length = b"content-length: %d" % len(body)
    lines = [b"POST /v1/chat/completions HTTP/1.1", b"host: x", length, *headers]
    return b"\r\n".join([*lines, b"", body])


async def read_all(stream: trio.SocketStream) -> bytes:
    got = b""
    with trio.fail_after(PATIENCE):
        while data := await stream.receive_some():
            got += data
    return got


# Leaving behind junk...


@pytest.fixture(params=[0, 1_000, 100_000, 400_000, 2_000_000])
def junk(request: pytest.FixtureRequest) -> bytes:
    return b"x" * int(request.param)


@pytest.mark.slow
async def test_a_caller_that_leaves_behind_junk_is_seen_before_the_first_event(
    junk: bytes,
) -> None:
    async with (
        serving(SILENT) as provider,
        in_process(config(provider.port)) as gateway,
    ):
        stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
        await stream.send_all(request(chat_body(stream=True)))
        asked = await provider.wait_asked(1)
        with trio.fail_after(PATIENCE):
            await stream.send_all(junk)
        await stream.send_eof()
        with trio.fail_after(PATIENCE):
            await asked.peer_left.wait()
        await gateway.settled()
        record = await gateway.record()
        await stream.aclose()
    assert (record.status, record.end_reason) == (499, EndReason.CLIENT_GONE)


@pytest.mark.slow
async def test_junk_behind_a_request_does_not_harm_its_answer() -> None:
    end = framed(event({"content": "all"}) + event({}, "stop") + DONE)
    script: Script = [(0.0, stream_head()), (3.0, end), (0.0, LAST_CHUNK)]
    async with (
        serving(script) as provider,
        in_process(config(provider.port)) as gateway,
        await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream,
    ):
        await stream.send_all(request(chat_body(stream=True)))
        with trio.fail_after(PATIENCE):
            await stream.send_all(b"x" * 1_000_000)
        answer = await read_all(stream)
        record = await gateway.record()
    # Its last chunk has come, and then the connection ended.
    assert answer.endswith(b"0\r\n\r\n")
    assert b"connection: close" in answer
    assert record.end_reason is EndReason.COMPLETE


# Bodies that can't be read...

MALFORMED = [
    b"zz\r\n{}\r\n0\r\n\r\n",
    b"5\r\n{}\r\n0\r\n\r\n\r\n",
    b"-1\r\n",
    b"2\r\n{}2\r\n",
    b"2\r\n{}\r\n0\r\nbad trailer\r\n\r\n",
    b"2\r\n{}\r\n0x0\r\n\r\n",
]


@pytest.mark.parametrize("body", MALFORMED)
async def test_a_malformed_body_is_one_refusal_under_one_id(body: bytes) -> None:
    async with (
        serving(SILENT) as provider,
        in_process(config(provider.port)) as gateway,
        await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream,
    ):
        await stream.send_all(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-request-id: mine-1\r\n"
            b"transfer-encoding: chunked\r\n\r\n" + body
        )
        head, _, content = (await read_all(stream)).partition(b"\r\n\r\n")
        record = await gateway.record()
        assert not provider.asked
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nx-request-id: mine-1" in head
    assert b"\r\nconnection: close" in head
    error = json.loads(content)["error"]
    assert error["type"] == "invalid_request_error"
    assert "body is malformed" in error["message"]
    assert (record.request_id, record.status) == ("mine-1", 400)
    assert (record.end_reason, record.error_code) == (EndReason.REJECTED, "invalid_request")


@pytest.mark.parametrize("path", [b"/v1/models", b"/nowhere", b"/health/live"])
async def test_a_malformed_body_that_is_not_read_ends_the_connection(path: bytes) -> None:
    async with (
        serving(SILENT) as provider,
        in_process(config(provider.port)) as gateway,
        await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream,
    ):
        await stream.send_all(
            b"GET %s HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n" % path
        )
        answer = await read_all(stream)
    assert answer.startswith(b"HTTP/1.1 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"100-continue", 100),
        (b"100-Continue", 100),
        (b"", 400),
        (b"200-ok", 417),
        (b"100-continue, x", 417),
        (b"100-continue; q=1", 417),
    ],
)
async def test_expectations(value: bytes, status: int) -> None:
    async with (
        serving(SILENT) as provider,
        in_process(config(provider.port)) as gateway,
        await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream,
    ):
        whole = request(b"{", b"expect: " + value)
        await stream.send_all(whole[:-1])
        if status == 400:
            # Nothing is expected.
            await stream.send_all(whole[-1:])
        with trio.fail_after(PATIENCE):
            answer = await stream.receive_some()
    assert answer.startswith(b"HTTP/1.1 %d " % status)


# Asking again...


@contextlib.asynccontextmanager
async def busy() -> AsyncIterator[tuple[Provider, InProcess]]:
    """A key with one request at once, and a provider that never says anything."""
    token = '[[tokens]]\nname = "t"\nkey = "sk-good-key"\nmax_concurrent = 1\n'
    async with (
        serving(SILENT) as provider,
        in_process(config(provider.port, tokens=token)) as gateway,
    ):
        yield provider, gateway


@pytest.mark.parametrize("given_up", [2, 3, 6])
@pytest.mark.measured
async def test_who_leaves_several_times_in_a_row_is_let_in(given_up: int) -> None:
    """Their requests overlap: none of their ends has been noticed when the next one comes."""
    asking = request(chat_body(stream=True), b"authorization: Bearer sk-good-key")
    rounds = 10
    async with busy() as (_, gateway):

        def leave_and_ask(stream: socket.socket | None) -> socket.socket:
            for number in range(given_up):
                following = socket.create_connection(("127.0.0.1", gateway.port))
                if stream is not None:
                    linger = struct.pack("ii", 1, 0)
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    stream.close()
                following.sendall(asking)
                stream = following
                if number < given_up - 1:
                    time.sleep(0.002)
            assert stream is not None
            return stream

        stream: socket.socket | None = None
        for _ in range(rounds):
            stream = await trio.to_thread.run_sync(leave_and_ask, stream)
            stream.setblocking(False)
            # Nothing is to be read: the provider says nothing, and neither do we.
            with trio.move_on_after(turns.PATIENCE + 0.15) as quiet:
                await trio.lowlevel.wait_readable(stream)
            assert quiet.cancelled_caught, stream.recv(65536)
            stream.setblocking(True)
        assert stream is not None
        stream.close()
        await until(lambda: not gateway.lifecycle.in_flight, "the end of all")
        # Who left before its connection was accepted is on no record.
        assert len(gateway.records) >= rounds
        assert {record.status for record in gateway.records} == {499}


@pytest.mark.parametrize("reset", [True, False])
async def test_who_leaves_and_asks_again_at_once_is_let_in(*, reset: bool) -> None:
    asking = request(chat_body(stream=True), b"authorization: Bearer sk-good-key")
    rounds = 20
    async with busy() as (provider, gateway):
        stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
        await stream.send_all(asking)
        for number in range(1, rounds):
            await provider.wait_asked(number)
            if reset:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            following = await trio.open_tcp_stream("127.0.0.1", gateway.port)
            stream.socket.close()
            await following.send_all(asking)
            stream = following
        await provider.wait_asked(rounds)
        await stream.aclose()
        await until(lambda: len(gateway.records) == rounds, "every record")
        assert {record.status for record in gateway.records} == {499}
