from __future__ import annotations

import errno
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trio
import trustme

from gateway import transport_errors
from gateway.core.routing.call import Origin
from gateway.transport_errors import UpstreamFailure
from gateway.upstream.httpx_adapter import HttpxTransport
from gateway.upstream.pool import PoolStats
from gateway.upstream.transport import Transport

from .servers import OK, open_sockets, read_request, replying, serving

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def client(transport: Transport, **options: object) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=HttpxTransport(transport, max_connections=1), **options)  # type: ignore[arg-type]


def stats(transport: Transport) -> PoolStats:
    (only,) = transport.stats().values()
    return only


async def test_a_whole_exchange() -> None:
    seen: list[bytes] = []

    async def handler(stream: trio.abc.Stream) -> None:
        while request := await read_request(stream):
            seen.append(request)
            await stream.send_all(OK)

    async with serving(handler) as server:
        transport = Transport()
        async with client(transport) as http:
            url = f"http://127.0.0.1:{server.port}/a/b?c=d%20e"
            for _ in range(2):
                response = await http.post(url, json={"x": 1}, headers={"X-Mine": "yes"})
                assert (response.status_code, response.text) == (200, "ok")
                assert response.http_version == "HTTP/1.1"
        assert server.accepted == 1
        head, _, body = seen[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /a/b?c=d%20e HTTP/1.1\r\nhost: 127.0.0.1:")
        assert b"\r\nx-mine: yes" in head
        assert head.count(b"content-length") == 1
        assert json.loads(body) == {"x": 1}
        # The transport is lent, not given.
        assert stats(transport).idle == 1
        await transport.aclose()


async def test_streams_both_ways() -> None:
    more = trio.Event()
    seen: list[bytes] = []

    async def handler(stream: trio.abc.Stream) -> None:
        seen.append(await read_request(stream))
        await stream.send_all(CHUNKED + b"3\r\nabc\r\n")
        await more.wait()
        await stream.send_all(b"2\r\nde\r\n0\r\n\r\n")
        await read_request(stream)

    async def upload() -> AsyncIterator[bytes]:
        yield b"one,"
        yield b"two"

    async with serving(handler) as server:
        transport = Transport()
        async with (
            client(transport) as http,
            http.stream("POST", f"http://127.0.0.1:{server.port}/", content=upload()) as response,
        ):
            parts = response.aiter_raw()
            assert await anext(parts) == b"abc"
            more.set()
            assert [part async for part in parts] == [b"de"]
        assert seen[0].endswith(b"\r\n\r\none,two")
        assert b"transfer-encoding" not in seen[0]
        await transport.aclose()


async def test_leaving_early_closes_the_connection() -> None:
    async with serving(replying(CHUNKED + b"3\r\nabc\r\n")) as server:
        transport = Transport()
        async with (
            client(transport) as http,
            http.stream("GET", f"http://127.0.0.1:{server.port}/"),
        ):
            assert stats(transport).in_use == 1
        assert stats(transport) == PoolStats(0, 0, 0)
        assert open_sockets(server.port) == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"garbage\r\n\r\n", httpx.RemoteProtocolError),
        (b"", httpx.ReadError),
        (OK[:-1], httpx.ReadError),
        (CHUNKED + b"x\r\n", httpx.RemoteProtocolError),
    ],
)
async def test_failures_of_the_peer(answer: bytes, error: type[Exception]) -> None:
    async with serving(replying(answer, close=True)) as server:
        transport = Transport()
        async with client(transport) as http:
            with pytest.raises(error):
                await http.get(f"http://127.0.0.1:{server.port}/")
        assert stats(transport) == PoolStats(0, 0, 0)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200", CHUNKED])
async def test_read_timeout(answer: bytes) -> None:
    async with serving(replying(answer)) as server:
        transport = Transport()
        async with client(transport, timeout=httpx.Timeout(5, read=0.05)) as http:
            with pytest.raises(httpx.ReadTimeout):
                await http.get(f"http://127.0.0.1:{server.port}/")
        assert stats(transport) == PoolStats(0, 0, 0)
        assert open_sockets(server.port) == 0


async def test_write_and_pool_timeouts() -> None:
    async def deaf(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    async with serving(deaf) as server:
        transport = Transport()
        url = f"http://127.0.0.1:{server.port}/"
        async with client(transport, timeout=httpx.Timeout(60, write=0.05)) as http:
            with pytest.raises(httpx.WriteTimeout):
                await http.post(url, content=b"x" * 50_000_000)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(http.get, url)
                with trio.fail_after(30):
                    while stats(transport).in_use == 0:  # noqa: ASYNC110 - it tells nobody
                        await trio.sleep(0.001)
                with pytest.raises(httpx.PoolTimeout):
                    await http.get(url, timeout=httpx.Timeout(60, pool=0.01))
                nursery.cancel_scope.cancel()
        assert stats(transport) == PoolStats(0, 0, 0)


async def test_a_shortage_of_ours_is_no_connect_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(trio, "open_tcp_stream", refuse)
    async with client(Transport()) as http:
        with pytest.raises(httpx.PoolTimeout, match="Too many open files"):
            await http.get("http://127.0.0.1:9/")


async def test_connect_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(replying(OK)) as server:
        port = server.port
    transport = Transport()
    async with client(transport, timeout=httpx.Timeout(5, connect=0.05)) as http:
        with pytest.raises(httpx.ConnectError, match="refused"):
            await http.get(f"http://127.0.0.1:{port}/")

        async def stuck(*_: object) -> None:
            await trio.sleep_forever()

        monkeypatch.setattr(trio, "open_tcp_stream", stuck)
        with pytest.raises(httpx.ConnectTimeout):
            await http.get(f"http://127.0.0.1:{port}/")
    assert transport.stats()[Origin("http", "127.0.0.1", port, None, 1)].in_use == 0


async def test_what_can_not_be_sent() -> None:
    transport = Transport()
    async with client(transport) as http:
        with pytest.raises(httpx.UnsupportedProtocol):
            await http.get("ftp://127.0.0.1/")
        with pytest.raises(httpx.LocalProtocolError, match="Host"):
            await http.get("http://127.0.0.1:1/", headers={"host": "elsewhere"})
        with pytest.raises(httpx.LocalProtocolError, match="illegal"):
            await http.get("http://127.0.0.1:1/", headers={"x": "a\r\nb: c"})
    assert transport.stats() == {}


@pytest.mark.parametrize(
    "failure",
    [
        each
        for each in vars(transport_errors).values()
        if isinstance(each, type) and issubclass(each, UpstreamFailure)
    ],
)
async def test_every_failure_has_its_name_in_httpx(
    failure: type[UpstreamFailure], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise failure("no luck")

    transport = Transport()
    monkeypatch.setattr(transport, "request", fail)
    async with client(transport) as http:
        with pytest.raises(httpx.TransportError, match="no luck") as caught:
            await http.get("http://127.0.0.1:9/")
    assert isinstance(caught.value.__cause__, failure)


async def test_a_token_endpoint_is_trusted_like_its_provider(tmp_path: Path) -> None:
    authority = trustme.CA()
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with serving(replying(OK), context) as server:
        transport = Transport()
        async with client(transport) as http:
            url = f"https://127.0.0.1:{server.port}/"
            with pytest.raises(httpx.ConnectError, match="certificate"):
                await http.get(url)
            response = await http.get(url, extensions={"ca_file": str(path)})
            assert response.text == "ok"
        await transport.aclose()
