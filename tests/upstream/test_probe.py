from __future__ import annotations

import errno
import math
from typing import Final

import pytest
import trio

from gateway.core.routing.call import Call, Origin
from gateway.upstream.http_client import http_client
from gateway.upstream.pool import PoolPolicy
from gateway.upstream.probe import MAX_BODY, probe
from gateway.upstream.transport import Transport

from .servers import OK, Handler, Server, read_request, serving


def answering(answer: bytes, *, close: bool = False) -> Handler:
    """Answer every request with `answer`, and close after it, or never."""

    async def handler(stream: trio.abc.Stream) -> None:
        while await read_request(stream):
            await stream.send_all(answer)
            if close:
                return

    return handler


def get(server: Server, **options: object) -> Call:
    return Call(server.origin(**options), b"GET", b"/v1/models", (), b"")


def status(code: int) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: 2\r\n\r\nno" % code


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OK, True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        *((status(code), True) for code in (302, 400, 401, 403, 404, 405)),
        (status(429), None),
        *((status(code), False) for code in (500, 502, 503, 529)),
        (b"nonsense\r\n\r\n", False),
    ],
)
async def test_what_answers_say(answer: bytes, expected: bool | None) -> None:
    async with serving(answering(answer)) as server:
        upstream = Transport()
        assert await probe(http_client(upstream), get(server), 5.0) is expected
        assert await probe(http_client(upstream), get(server), 5.0) is expected
        assert [stats.in_use for stats in upstream.stats().values()] == [0]
        if expected:
            # What is read to its end leaves its connection to the next.
            assert server.accepted == 1
        await upstream.aclose()


async def test_nobody_there_is_a_failure() -> None:
    async with serving(answering(OK)) as server:
        pass
    with trio.fail_after(30):
        assert await probe(http_client(Transport()), get(server), 60.0) is False


async def test_a_shortage_of_ours_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    async with serving(answering(OK)) as server:
        monkeypatch.setattr(trio, "open_tcp_stream", refuse)
        assert await probe(http_client(Transport()), get(server), 5.0) is None


BREAKS_OFF: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", BREAKS_OFF])
async def test_an_answer_that_breaks_off_is_a_failure(answer: bytes) -> None:
    async with serving(answering(answer, close=True)) as server:
        upstream = Transport()
        assert await probe(http_client(upstream), get(server), 5.0) is False
        assert [stats.in_use for stats in upstream.stats().values()] == [0]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", BREAKS_OFF])
@pytest.mark.measured
async def test_silence_is_a_failure_after_the_timeout(answer: bytes) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        if answer:
            await stream.send_all(answer)
        await trio.sleep_forever()

    async with serving(handler) as server:
        upstream = Transport()
        began = trio.current_time()
        assert await probe(http_client(upstream), get(server), 0.1) is False
        assert 0.1 <= trio.current_time() - began < 2
        assert [stats.in_use for stats in upstream.stats().values()] == [0]


async def test_only_so_much_of_an_answer_is_read() -> None:
    sent = 0
    ended = trio.Event()

    async def handler(stream: trio.abc.Stream) -> None:
        nonlocal sent
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                await stream.send_all(bytes(4096))
                sent += 4096
        finally:
            ended.set()

    async with serving(handler) as server:
        upstream = Transport()
        with trio.fail_after(30):
            assert await probe(http_client(upstream), get(server), math.inf) is True
            # The connection was closed, or this would never end.
            await ended.wait()
        assert sent >= MAX_BODY
        assert [stats.in_use for stats in upstream.stats().values()] == [0]


@pytest.mark.parametrize("timeout", [0.1, 0.6])
async def test_no_free_connection_says_nothing(timeout: float) -> None:
    more = trio.Event()

    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(OK[:-1])
        await more.wait()
        await stream.send_all(OK[-1:])
        await answering(OK)(stream)

    async with serving(handler) as server:
        upstream = Transport(PoolPolicy(timeout=0.2))
        async with await upstream.request(get(server, max_connections=1)) as held:
            assert (
                await probe(http_client(upstream), get(server, max_connections=1), timeout) is None
            )
            more.set()
            assert await held.read(10) == b"ok"
        assert await probe(http_client(upstream), get(server, max_connections=1), 5.0) is True
        assert server.accepted == 1
        await upstream.aclose()


async def test_a_cancelled_probe_leaves_nothing() -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await trio.sleep_forever()

    async with serving(handler) as server:
        upstream = Transport()
        with trio.move_on_after(0.05) as scope:
            await probe(http_client(upstream), get(server), 30.0)
        assert scope.cancelled_caught
        assert [stats.in_use for stats in upstream.stats().values()] == [0]


async def test_a_call_goes_out_as_it_is() -> None:
    seen: list[bytes] = []

    async def handler(stream: trio.abc.Stream) -> None:
        while request := await read_request(stream):
            seen.append(request)
            head = b"HTTP/1.1 200 OK\r\nset-cookie: a=b; path=/\r\ncontent-length: 2\r\n\r\nok"
            await stream.send_all(head)

    async with serving(handler) as server:
        upstream = Transport()
        client = http_client(upstream)
        call = Call(server.origin(), b"GET", b"/a/../{b}#c?d", ((b"accept", b"x"),), b"")
        for _ in range(2):
            assert await probe(client, call, 5.0)
        # No header of httpx's own, and no cookie: it might be another provider's.
        line, host = b"GET /a/../{b}#c?d HTTP/1.1\r\n", b"host: 127.0.0.1:%d\r\n" % server.port
        assert seen == [line + host + b"accept: x\r\naccept-encoding: identity\r\n\r\n"] * 2
        await upstream.aclose()


@pytest.mark.parametrize("host", ["1.2.3.999", "xn--zz"])
async def test_a_host_that_cannot_be_is_not_alive(host: str) -> None:
    upstream = Transport()
    call = Call(Origin("http", host, 80), b"GET", b"/v1/models", (), b"", 1.0)
    assert await probe(http_client(upstream), call, 5.0) is False
    await upstream.aclose()
