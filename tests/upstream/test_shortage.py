"""What is our own lack and what is a provider's failure."""

from __future__ import annotations

import errno
import os
import socket

import pytest
import structlog.testing
import trio
from trio.testing import MockClock

from gateway.core.routing.call import Call, Origin
from gateway.transport_errors import ConnectFailed, LocalShortage
from gateway.upstream.shortage import INTERVAL, ShortageLog, check_descriptors, shortage
from gateway.upstream.transport import Transport


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
