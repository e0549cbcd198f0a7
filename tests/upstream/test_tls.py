from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
import trio
import trustme
from msgspec.structs import replace

from gateway.transport_errors import CertificateRefused, ConnectFailed, ConnectTimeout
from gateway.upstream import dial
from gateway.upstream.pool import PoolStats
from gateway.upstream.transport import Transport

from .servers import OK, Server, open_sockets, read_request, replying, serving

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def context(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert(name).configure_cert(made)
    return made


async def get(transport: Transport, server: Server, ca_file: str | None) -> bytes:
    response = await transport.request(server.call(scheme="https", ca_file=ca_file))
    return await response.read(100)


@pytest.mark.parametrize("answer", [OK, CHUNKED])
async def test_a_good_certificate(authority: trustme.CA, ca_file: str, answer: bytes) -> None:
    async with serving(replying(answer), context(authority)) as server:
        transport = Transport()
        for _ in range(4):
            assert await get(transport, server, ca_file) == b"ok"
        # Session tickets come unasked, and are no reason to give a connection up.
        assert server.accepted == 1
        await transport.aclose()
        assert open_sockets(server.port) == 0


@pytest.mark.parametrize(
    ("name", "trusted", "reason"),
    [
        ("example.org", True, "not accepted: .*mismatch"),
        ("127.0.0.1", False, "not accepted: .*(self-signed|unable to get)"),
    ],
)
async def test_a_bad_certificate(
    authority: trustme.CA, ca_file: str, name: str, trusted: bool, reason: str
) -> None:
    async with serving(replying(OK), context(authority, name)) as server:
        transport = Transport()
        with pytest.raises(CertificateRefused, match=reason):
            await get(transport, server, ca_file if trusted else None)
        assert open_sockets(server.port) == 0


async def test_a_server_without_tls(ca_file: str) -> None:
    async def plain(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(plain) as server:
        with pytest.raises(ConnectFailed, match=r"no TLS with 127\.0\.0\.1"):
            await get(Transport(), server, ca_file)
        assert open_sockets(server.port) == 0


async def test_a_server_that_hangs_up_on_the_handshake(ca_file: str) -> None:
    async def hang_up(stream: trio.abc.Stream) -> None:
        await stream.receive_some()

    async with serving(hang_up) as server:
        with pytest.raises(ConnectFailed, match="no TLS"):
            await get(Transport(), server, ca_file)


async def test_the_connect_timeout_covers_the_handshake(ca_file: str) -> None:
    async def silent(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    async with serving(silent) as server:
        transport = Transport()
        call = server.call(scheme="https", ca_file=ca_file)
        with pytest.raises(ConnectTimeout):
            await transport.request(replace(call, connect_timeout=0.05))
        assert open_sockets(server.port) == 0


async def test_only_http_1_1_is_offered(authority: trustme.CA, ca_file: str) -> None:
    chosen: list[str | None] = []

    async def handler(stream: trio.abc.Stream) -> None:
        assert isinstance(stream, trio.SSLStream)
        await read_request(stream)
        chosen.append(stream.selected_alpn_protocol())
        await stream.send_all(OK)

    async with serving(handler, context(authority)) as server:
        transport = Transport()
        await get(transport, server, ca_file)
        await transport.aclose()
    assert chosen == ["http/1.1"]


@pytest.mark.parametrize("separate", [False, True])
async def test_bytes_that_tls_holds_back_are_not_the_next_answer(
    authority: trustme.CA, ca_file: str, separate: bool
) -> None:
    """In a record of its own, what follows an answer is read but not given out by TLS."""
    junk = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad"

    async def handler(stream: trio.abc.Stream) -> None:
        assert isinstance(stream, trio.SSLStream)
        await read_request(stream)
        tcp = stream.transport_stream
        if separate:
            # Two records in one segment.
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            await stream.send_all(OK)
            await stream.send_all(junk)
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        else:
            await stream.send_all(OK + junk)
        await stream.receive_some()

    async with serving(handler, context(authority)) as server:
        transport = Transport()
        for number in (1, 2, 3):
            assert await get(transport, server, ca_file) == b"ok"
            assert server.accepted == number
        await transport.aclose()


async def test_an_idle_connection_that_was_closed(authority: trustme.CA, ca_file: str) -> None:
    async with serving(replying(OK, close=True), context(authority)) as server:
        transport = Transport()
        for number in (1, 2):
            assert await get(transport, server, ca_file) == b"ok"
            await trio.sleep(0.02)
            assert server.accepted == number
        assert list(transport.stats().values()) == [PoolStats(1, 0, 0)]
        await transport.aclose()


async def test_a_ca_file_that_is_missing_or_none(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    async with serving(replying(OK)) as server:
        for path in (tmp_path / "missing.pem", broken):
            with pytest.raises(ConnectFailed, match="cannot use the CA file"):
                await get(Transport(), server, str(path))
        assert open_sockets(server.port) == 0


def test_certifi_stands_in_for_a_system_without_certificates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dial.tls_context.cache_clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    try:
        made = dial.tls_context(None)
        assert made.cert_store_stats()["x509_ca"] > 50
        assert made.check_hostname
        assert made.verify_mode is ssl.CERT_REQUIRED
        assert dial.tls_context(None) is made
    finally:
        dial.tls_context.cache_clear()


@pytest.mark.parametrize("beside", [True, False])
async def test_what_is_trusted_beside_the_system_or_instead(
    authority: trustme.CA, ca_file: str, *, beside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token endpoint may have a public certificate, or one like its provider's."""
    theirs = dial.tls_context(ca_file, beside)
    assert authority.cert_pem.bytes() in {
        ssl.DER_cert_to_PEM_cert(each).encode() for each in theirs.get_ca_certs(binary_form=True)
    }
    count = len(theirs.get_ca_certs())
    system = len(dial.tls_context(None).get_ca_certs())
    assert count == (system + 1 if beside else 1)
