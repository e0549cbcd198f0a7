from __future__ import annotations

import socket
from typing import NoReturn

import pytest
import trio
import trio.testing

from gateway.core.routing.call import Call, Origin
from gateway.transport_errors import (
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    PoolTimeout,
    ProtocolViolation,
    StaleConnection,
)
from gateway.upstream.connection import JOIN_LIMIT
from gateway.upstream.pool import PoolPolicy, PoolStats
from gateway.upstream.transport import CallPhase, Transport

from .servers import OK, Handler, open_sockets, read_request, replying, serving

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
IDLE = PoolStats(idle=1, in_use=0, waiting=0)
NOTHING = PoolStats(idle=0, in_use=0, waiting=0)


async def test_keep_alive_reuses_the_connection() -> None:
    async with serving(replying(OK)) as server:
        transport = Transport()
        for _ in range(3):
            response = await transport.request(server.call())
            assert response.status == 200
            assert response.headers == [(b"content-length", b"2")]
            assert await response.read(10) == b"ok"
            assert await response.receive_some() == b""
        assert server.accepted == 1
        assert transport.stats() == {server.origin(): IDLE}
        await transport.aclose()
        assert open_sockets(server.port) == 0


async def test_the_request_as_the_server_sees_it() -> None:
    seen: list[bytes] = []

    async def handler(stream: trio.abc.Stream) -> None:
        while request := await read_request(stream):
            seen.append(request)
            await stream.send_all(OK)

    async with serving(handler) as server:
        transport = Transport()
        small, large = b'{"a": 1}', b"x" * (JOIN_LIMIT + 1)
        for body in (small, large):
            await (await transport.request(server.call(body))).read(10)
        await transport.aclose()
    assert [request.partition(b"\r\n\r\n")[2] for request in seen] == [small, large]
    assert b"host: 127.0.0.1:%d\r\n" % server.port in seen[0]


async def test_a_chunked_body_frees_the_connection_with_its_last_byte() -> None:
    more = trio.Event()

    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(CHUNKED + b"3\r\nabc\r\n1\r\nd")
        await more.wait()
        await stream.send_all(b"\r\n2\r\nef\r\n0\r\n\r\n")
        await read_request(stream)

    async with serving(handler) as server:
        transport = Transport()
        response = await transport.request(server.call())
        assert await response.receive_some() == b"abcd"
        assert transport.stats()[server.origin()].in_use == 1
        more.set()
        assert await response.receive_some() == b"ef"
        assert transport.stats()[server.origin()] == IDLE
        assert await response.receive_some() == b""
        await transport.aclose()


async def test_phases_are_told() -> None:
    phases: list[CallPhase] = []
    async with serving(replying(OK)) as server:
        transport = Transport()
        await (await transport.request(server.call(), on_phase=phases.append)).read(10)
        await transport.aclose()
    assert phases == [CallPhase.SENDING, CallPhase.WAITING]


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok", b"ok"),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", b"ok"),
        (OK + b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad", b"ok"),
        (CHUNKED + b"2\r\nok\r\n0\r\n\r\njunk", b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\njunk", b""),
    ],
)
async def test_not_used_again(answer: bytes, body: bytes) -> None:
    async with serving(replying(answer)) as server:
        transport = Transport()
        for number in (1, 2):
            assert await (await transport.request(server.call())).read(10) == body
            assert server.accepted == number
            assert transport.stats()[server.origin()] == NOTHING
            assert open_sockets(server.port) == 0


async def test_bytes_after_the_answer_are_never_taken_for_the_next() -> None:
    late = trio.Event()

    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(OK)
        await late.wait()
        await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad")
        await stream.receive_some()

    async with serving(handler) as server:
        transport = Transport()
        await (await transport.request(server.call())).read(10)
        assert transport.stats()[server.origin()] == IDLE
        late.set()
        await trio.sleep(0.05)
        assert await (await transport.request(server.call())).read(10) == b"ok"
        assert server.accepted == 2
        await transport.aclose()


async def test_the_body_ends_with_the_connection() -> None:
    answer = b"HTTP/1.1 200 OK\r\n\r\nuntil close"
    async with serving(replying(answer, close=True)) as server:
        transport = Transport()
        assert await (await transport.request(server.call())).read(100) == b"until close"
        assert transport.stats()[server.origin()] == NOTHING


async def test_head_has_no_body() -> None:
    async with serving(replying(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")) as server:
        transport = Transport()
        for _ in range(2):
            response = await transport.request(server.call(b"", method=b"HEAD"))
            assert await response.read(0) == b""
        assert server.accepted == 1
        await transport.aclose()


async def test_informational_answers_are_skipped() -> None:
    async with serving(replying(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)) as server:
        transport = Transport()
        for _ in range(2):
            response = await transport.request(server.call())
            assert (response.status, await response.read(9)) == (200, b"ok")
        assert server.accepted == 1
        await transport.aclose()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", ConnectionLost),
        (b"HTTP/1.1 200 OK\r\ncont", ConnectionLost),
        (b"HTTP/1.1 100 Continue\r\n\r\n", ConnectionLost),
        (b"garbage\r\n\r\n", ProtocolViolation),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20000, ProtocolViolation),
        (CHUNKED.replace(b"chunked", b"gzip"), ProtocolViolation),
        (CHUNKED + b"zz\r\n", ProtocolViolation),
        (CHUNKED.replace(b"1.1", b"1.0"), ProtocolViolation),
    ],
)
async def test_a_bad_head(answer: bytes, error: type[Exception]) -> None:
    async with serving(replying(answer, close=True)) as server:
        transport = Transport()
        with pytest.raises(error):
            await transport.request(server.call())
        assert server.accepted == 1
        assert transport.stats()[server.origin()] == NOTHING
        assert open_sockets(server.port) == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (CHUNKED + b"2\r\nok\r\n", ConnectionLost),
        (OK[:-1], ConnectionLost),
        (CHUNKED + b"2\r\nok\r\n" + b"9" * 20, ProtocolViolation),
    ],
)
async def test_a_bad_body(answer: bytes, error: type[Exception]) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(answer[:-1])
        await trio.sleep(0.02)
        await stream.send_all(answer[-1:])

    async with serving(handler) as server:
        transport = Transport()
        with pytest.raises(error):
            await (await transport.request(server.call())).read(100)
        assert transport.stats()[server.origin()] == NOTHING
        assert open_sockets(server.port) == 0


async def test_read_is_bounded() -> None:
    async with serving(replying(OK)) as server:
        transport = Transport()
        response = await transport.request(server.call())
        with pytest.raises(ProtocolViolation, match="larger"):
            await response.read(1)
        await transport.aclose()


async def test_closing_an_unread_answer_closes_its_connection() -> None:
    async with serving(replying(CHUNKED + b"2\r\nok\r\n")) as server:
        transport = Transport()
        response = await transport.request(server.call())
        with trio.CancelScope() as scope:
            scope.cancel()
            # In a cancelled scope nothing that waits would get done.
            await response.aclose()
            assert transport.stats()[server.origin()] == NOTHING
            await response.aclose()
        assert transport.stats()[server.origin()] == NOTHING
        assert open_sockets(server.port) == 0


# A reused connection that is dead...


def drop_second(rst: bool) -> Handler:
    """Answer the first request of each connection; take the second and close without a word."""

    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(OK)
        await read_request(stream)
        if rst:
            assert isinstance(stream, trio.SocketStream)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    return handler


@pytest.mark.parametrize("rst", [False, True])
async def test_a_closed_idle_connection_is_told_apart_and_replaced_by_the_next_call(
    rst: bool,
) -> None:
    async with serving(drop_second(rst)) as server:
        transport = Transport()
        for accepted in (1, 2, 3):
            assert await (await transport.request(server.call())).read(9) == b"ok"
            with pytest.raises(StaleConnection, match="had been idle"):
                await transport.request(server.call())
            # It was not sent again.
            assert server.accepted == accepted
            assert transport.stats()[server.origin()] == NOTHING
        await transport.aclose()
        assert open_sockets(server.port) == 0


async def test_those_idle_for_longer_are_closed_with_it() -> None:
    both = trio.Event()

    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        if server.accepted == 2:
            both.set()
        await stream.send_all(OK[:-1])
        await both.wait()
        await stream.send_all(OK[-1:])
        await read_request(stream)

    async with serving(handler) as server:
        transport = Transport()
        first, second = [await transport.request(server.call()) for _ in range(2)]
        await first.read(9)
        await second.read(9)
        assert transport.stats()[server.origin()].idle == 2
        with pytest.raises(StaleConnection):
            await transport.request(server.call())
        assert transport.stats()[server.origin()] == NOTHING
        assert await (await transport.request(server.call())).read(9) == b"ok"
        assert server.accepted == 3
        await transport.aclose()


async def test_what_is_lost_after_a_silence_may_have_been_at_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.upstream.transport.STALE_WITHIN", 0.05)

    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(OK)
        await read_request(stream)
        await trio.sleep(0.2)

    async with serving(handler) as server:
        transport = Transport()
        await (await transport.request(server.call())).read(9)
        with pytest.raises(ConnectionLost, match="without an answer") as caught:
            await transport.request(server.call())
        assert not isinstance(caught.value, StaleConnection)
        assert server.accepted == 1
        assert transport.stats()[server.origin()] == NOTHING


async def test_not_closed_while_idle_once_a_byte_came() -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(OK)
        await read_request(stream)
        await stream.send_all(b"H")

    async with serving(handler) as server:
        transport = Transport()
        await (await transport.request(server.call())).read(9)
        with pytest.raises(ConnectionLost, match="inside the head") as caught:
            await transport.request(server.call())
        assert not isinstance(caught.value, StaleConnection)
        assert server.accepted == 1
        assert transport.stats()[server.origin()] == NOTHING


async def test_idle_connection_closed_by_the_server_is_noticed_before_use() -> None:
    async with serving(replying(OK, close=True)) as server:
        transport = Transport()
        for accepted in (1, 2):
            await (await transport.request(server.call())).read(9)
            await trio.sleep(0.02)
            assert server.accepted == accepted
        await transport.aclose()


async def test_an_early_answer_to_a_large_body() -> None:
    answer = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig"

    async def handler(stream: trio.abc.Stream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(answer)

    async with serving(handler) as server:
        transport = Transport()
        response = await transport.request(server.call(b"x" * 20_000_000))
        assert (response.status, await response.read(9)) == (413, b"big")
        assert transport.stats()[server.origin()] == NOTHING
        assert open_sockets(server.port) == 0


# Connecting...


async def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        transport = Transport()
        origin = Origin("http", "127.0.0.1", port)
        async with serving(replying(OK)) as server:
            call = server.call(headers=((b"authorization", b"Bearer sk-secret"),), port=port)
        with pytest.raises(ConnectFailed, match=f"127.0.0.1:{port}: .*refused") as caught:
            await transport.request(call)
        assert "secret" not in str(caught.value)
        assert transport.stats()[origin] == NOTHING


class NoNames(trio.abc.HostnameResolver):
    async def getaddrinfo(self, *_: object, **__: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, *_: object) -> NoReturn:
        raise NotImplementedError


async def test_a_name_that_does_not_resolve() -> None:
    trio.socket.set_custom_hostname_resolver(NoNames())
    call = Call(Origin("http", "nowhere.invalid", 80), b"GET", b"/", (), b"")
    with pytest.raises(ConnectFailed, match=r"nowhere\.invalid:80: Name or service not known"):
        await Transport().request(call)


async def test_a_port_that_is_none() -> None:
    call = Call(Origin("http", "127.0.0.1", 99999), b"GET", b"/", (), b"")
    with pytest.raises(ConnectFailed, match="could not connect"):
        await Transport().request(call)


async def test_connect_timeout_covers_everything(autojump_clock: trio.testing.MockClock) -> None:
    async def stuck(*_: object, **__: object) -> None:
        await trio.sleep_forever()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio, "open_tcp_stream", stuck)
        transport = Transport()
        call = Call(Origin("http", "localhost", 9), b"GET", b"/", (), b"")
        began = trio.current_time()
        with pytest.raises(ConnectTimeout, match="localhost:9 within 5 s"):
            await transport.request(call)
        assert trio.current_time() - began == 5.0
        assert transport.stats()[call.origin] == NOTHING


async def test_sockets_are_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[trio.SocketStream] = []
    connect = trio.open_tcp_stream

    async def spy(host: str, port: int) -> trio.SocketStream:
        seen.append(await connect(host, port))
        return seen[-1]

    monkeypatch.setattr(trio, "open_tcp_stream", spy)
    async with serving(replying(OK)) as server:
        transport = Transport()
        await (await transport.request(server.call())).read(9)
        assert seen[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert seen[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        await transport.aclose()


# The pool...


@pytest.mark.measured
async def test_the_bound_holds_and_waiting_ends_in_time() -> None:
    async with serving(replying(CHUNKED)) as server:
        transport = Transport(PoolPolicy(timeout=0.05))
        calls = server.call(max_connections=2)
        held = [await transport.request(calls) for _ in range(2)]
        began = trio.current_time()
        with pytest.raises(PoolTimeout, match="none of 2"):
            await transport.request(calls)
        assert 0.05 <= trio.current_time() - began < 1
        with pytest.raises(PoolTimeout):
            await transport.request(calls, pool_timeout=0)
        assert transport.stats()[calls.origin] == PoolStats(0, 2, 0)
        for response in held:
            await response.aclose()
        assert transport.stats()[calls.origin] == NOTHING


async def test_waiters_are_served_in_their_order() -> None:
    order: list[int] = []
    async with serving(replying(OK)) as server:
        transport = Transport()
        call = server.call(max_connections=1)

        async def one(number: int) -> None:
            await (await transport.request(call)).read(9)
            order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(one, number)
                await trio.lowlevel.checkpoint()
                # So that they begin in this order; Trio shuffles what is ready together.
                await trio.testing.wait_all_tasks_blocked()
        assert order == sorted(order)
        assert server.accepted == 1
        await transport.aclose()


async def test_the_last_used_is_used_first_and_old_ones_are_swept() -> None:
    async with serving(replying(OK)) as server, trio.open_nursery() as nursery:
        transport = Transport(PoolPolicy(idle_timeout=0.1))
        await nursery.start(transport.maintain)
        call = server.call()
        pair = [await transport.request(call) for _ in range(2)]
        for response in pair:
            await response.read(9)
        first = server.accepted
        for _ in range(12):
            await (await transport.request(call)).read(9)
            await trio.sleep(0.02)
        assert server.accepted <= first
        await trio.sleep(0.3)
        assert transport.stats() == {}
        assert open_sockets(server.port) == 0
        nursery.cancel_scope.cancel()


async def test_age_ends_a_connection() -> None:
    async with serving(replying(OK)) as server:
        transport = Transport(PoolPolicy(max_age=0.05))
        await (await transport.request(server.call())).read(9)
        await trio.sleep(0.06)
        response = await transport.request(server.call())
        assert server.accepted == 2
        await trio.sleep(0.06)
        await response.read(9)
        await transport.aclose()


async def test_a_closed_transport_refuses_and_lets_the_rest_finish() -> None:
    go = trio.Event()

    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(OK[:-1])
        await go.wait()
        await stream.send_all(OK[-1:])

    async with serving(handler) as server:
        transport = Transport()
        call = server.call(max_connections=1)
        response = await transport.request(call)
        async with trio.open_nursery() as nursery:

            async def refused() -> None:
                with pytest.raises(ConnectFailed, match="closed"):
                    await transport.request(call)

            nursery.start_soon(refused)
            await trio.testing.wait_all_tasks_blocked()
            assert transport.stats()[call.origin].waiting == 1
            await transport.aclose()
        await refused()
        go.set()
        assert await response.read(9) == b"ok"
        assert transport.stats()[call.origin] == NOTHING
        assert open_sockets(server.port) == 0


async def test_retired_origins_lose_idle_connections_at_once_and_used_ones_when_done() -> None:
    more = trio.Event()

    async def handler(stream: trio.abc.Stream) -> None:
        while request := await read_request(stream):
            if b"slow" in request:
                await stream.send_all(CHUNKED + b"1\r\na\r\n")
                await more.wait()
                await stream.send_all(b"1\r\nb\r\n0\r\n\r\n")
            else:
                await stream.send_all(OK)

    async with serving(handler) as gone, serving(replying(OK)) as kept:
        transport = Transport()
        slow = await transport.request(gone.call(b"slow"))
        for server in (gone, kept):
            await (await transport.request(server.call())).read(10)
        assert (open_sockets(gone.port), open_sockets(kept.port)) == (2, 1)
        transport.retire([gone.origin(), gone.origin(host="192.0.2.1")])
        assert (open_sockets(gone.port), open_sockets(kept.port)) == (1, 1)
        assert transport.stats() == {kept.origin(): IDLE}
        more.set()
        assert await slow.read(10) == b"ab"
        assert open_sockets(gone.port) == 0
        # Whoever began before may still call it, and whoever comes when it is back.
        await (await transport.request(gone.call())).read(10)
        assert transport.stats()[gone.origin()] == IDLE
        await transport.aclose()


async def test_who_waits_for_a_retired_origin_gets_a_connection_of_its_own() -> None:
    more = trio.Event()

    async def handler(stream: trio.abc.Stream) -> None:
        while request := await read_request(stream):
            if b"slow" in request:
                await more.wait()
            await stream.send_all(OK)

    async with serving(handler) as server, trio.open_nursery() as nursery:
        transport = Transport()
        answers: list[bytes] = []

        async def ask(body: bytes) -> None:
            response = await transport.request(server.call(body, max_connections=1))
            answers.append(await response.read(10))

        for body in (b"slow", b"quick"):
            nursery.start_soon(ask, body)
            await trio.testing.wait_all_tasks_blocked(0.05)
        transport.retire([server.origin(max_connections=1)])
        more.set()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert answers == [b"ok", b"ok"]
        # The connection of the first was not for anybody else.
        assert server.accepted == 2
        assert open_sockets(server.port) == 0
        await transport.aclose()
