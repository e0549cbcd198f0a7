"""What is our own lack and what is a provider's failure."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
import trio
import trustme
from trio.testing import MockClock

from gateway import tcp
from gateway.core.routing.call import Call, Origin
from gateway.transport_errors import ConnectFailed, LocalShortage
from gateway.upstream import connection
from gateway.upstream.shortage import INTERVAL, ShortageLog, check_descriptors, shortage
from gateway.upstream.transport import CallPhase, Transport

from .servers import open_sockets, read_request, serving


def error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def together(*errors: OSError) -> OSError:
    """Return what `trio.open_tcp_stream` raises."""
    outer = OSError("all attempts to connect failed")
    outer.__cause__ = ExceptionGroup("all attempts to connect failed", errors)
    return outer


REFUSED = error(errno.ECONNREFUSED)
NO_PORT = error(errno.EADDRNOTAVAIL)


@pytest.mark.parametrize(
    ("exc", "ours"),
    [
        *((error(number), True) for number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS)),
        (error(errno.ENOMEM), True),
        # epoll_ctl(2): the user watches as many descriptors as it may.
        (error(errno.ENOSPC), True),
        (error(errno.ECONNRESET), False),
        (error(errno.EPIPE), False),
        (NO_PORT, True),
        (together(NO_PORT), True),
        (together(NO_PORT, NO_PORT), True),
        # `localhost` on a machine without IPv6: ::1 cannot be had, and 127.0.0.1 refuses.
        (together(NO_PORT, REFUSED), False),
        (together(error(errno.EMFILE), REFUSED), True),
        (together(REFUSED, error(errno.ENETUNREACH)), False),
        (error(errno.ETIMEDOUT), False),
        (socket.gaierror(socket.EAI_MEMORY, "memory"), True),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), False),
        (socket.gaierror(socket.EAI_AGAIN, "temporary"), False),
        (UnicodeError("label too long"), False),
        (OverflowError("port must be 0-65535"), False),
    ],
    ids=repr,
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_whose_fault_it_is(exc: Exception, ours: bool, wrapped: bool) -> None:
    assert (shortage(ExceptionGroup("", [exc]) if wrapped else exc) is not None) is ours


async def test_a_call_that_we_cannot_make_is_no_failure_of_the_provider(
    monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    errors = [together(error(errno.EMFILE)), together(error(errno.EMFILE)), together(REFUSED)]

    async def refuse(*_: object, **__: object) -> None:
        raise errors.pop(0)

    monkeypatch.setattr(trio, "open_tcp_stream", refuse)
    transport = Transport()
    call = Call(Origin("http", "p.example", 80), b"GET", b"/", (), b"")
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            with pytest.raises(LocalShortage, match=r"p\.example:80: Too many open files"):
                await transport.request(call)
        with pytest.raises(ConnectFailed, match="refused"):
            await transport.request(call)
    assert [line["log_level"] for line in logs] == ["error"]
    # No slot was lost.
    assert transport.stats()[call.origin].in_use == 0


async def test_certificates_that_cannot_be_opened_for_want_of_a_descriptor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_descriptor(_: object) -> None:
        raise error(errno.EMFILE)

    ours, theirs = trio.socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

    async def connect(*_: object, **__: object) -> trio.SocketStream:
        stream = trio.SocketStream(ours)
        monkeypatch.setattr(stream, "setsockopt", lambda *_: None)
        return stream

    monkeypatch.setattr(trio, "open_tcp_stream", connect)
    monkeypatch.setattr("gateway.upstream.dial.tls_context", no_descriptor)
    call = Call(Origin("https", "p.example", 443), b"GET", b"/", (), b"")
    with theirs, pytest.raises(LocalShortage, match="certificates"):
        await Transport().request(call)
    assert ours.fileno() == -1


# On a connection that is open...

SHORT = (errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC)
PIECES = (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok", b"ok")


class ShortFrom:
    """A socket's call that fails from the call `number` on, counted from 1."""

    def __init__(self, number: int, code: int) -> None:
        self.calls = 0
        self._number = number
        self._code = code

    def count(self) -> None:
        self.calls += 1
        if self.calls >= self._number:
            raise error(self._code)

    def send_now(self, *args: Any) -> int:
        self.count()
        return tcp.send_now(*args)

    async def receive(self, *args: Any) -> bytes:
        self.count()
        return await tcp.receive(*args)


async def in_two_pieces(stream: trio.abc.Stream) -> None:
    await read_request(stream)
    await stream.send_all(PIECES[0])
    await trio.sleep(0.1)
    await stream.send_all(PIECES[1])
    await stream.receive_some()


@pytest.mark.parametrize("code", SHORT)
@pytest.mark.parametrize(
    ("call", "number"), [("send_now", 1), ("receive", 1), ("receive", 2)], ids=str
)
async def test_a_connection_that_we_cannot_use_any_more(
    monkeypatch: pytest.MonkeyPatch, code: int, call: str, number: int
) -> None:
    monkeypatch.setattr(connection, call, getattr(ShortFrom(number, code), call))
    async with serving(in_two_pieces) as server:
        transport = Transport()
        with (
            structlog.testing.capture_logs() as logs,
            pytest.raises(LocalShortage, match=os.strerror(code)),
        ):
            await (await transport.request(server.call())).read(100)
        assert [line["log_level"] for line in logs] == ["error"]
        assert transport.stats()[server.origin()].in_use == 0
        assert open_sockets(server.port) == 0


@pytest.mark.parametrize("body", [b"{}", bytes(connection.JOIN_LIMIT + 1)])
@pytest.mark.parametrize("method", ["send_all", "receive_some"])
async def test_under_tls_and_with_a_large_body(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str, body: bytes
) -> None:
    """Trio and its TLS wrap the error, each in one of their own."""
    authority = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def short(*_: object) -> None:
        raise trio.BrokenResourceError("socket connection broken") from error(errno.ENOBUFS)

    async with serving(in_two_pieces, context) as server:
        transport = Transport()
        call = server.call(body, scheme="https", ca_file=str(ca_file))

        def sending(phase: CallPhase) -> None:
            # Behind the handshake.
            if phase is CallPhase.SENDING:
                monkeypatch.setattr(connection.Wire, method, short)

        with pytest.raises(LocalShortage, match="No buffer space"):
            await transport.request(call, on_phase=sending)
        monkeypatch.undo()


async def test_a_shortage_is_logged_once_per_interval(mock_clock: MockClock) -> None:
    log = ShortageLog()
    with structlog.testing.capture_logs() as lines:
        for _ in range(100):
            log.note("x")
        mock_clock.jump(INTERVAL)
        log.note("y")
    assert [(line["error"], line["connections"]) for line in lines] == [("x", 1), ("y", 100)]


def test_descriptors_are_there() -> None:
    check_descriptors()
