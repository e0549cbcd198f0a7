"""What the kernel tells of a connection."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from gateway.serve.entry.arrival import Listening, age_of, arrived, full, has_left, host_of


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="only Linux tells")
def test_the_age_of_a_connection_is_how_long_it_has_waited() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        client.sendall(b"x")
        sent = time.monotonic()
        time.sleep(0.2)
        accepted, _ = listener.accept()
        with accepted:
            # In steps of the kernel's clock.
            assert 0.1 < age_of(accepted) < time.monotonic() - sent + 0.1
    with socket.socket(socket.AF_UNIX) as unix:
        assert age_of(unix) == 0.0


def test_nothing_waits_for_a_silent_client_although_the_socket_would() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert ours.getblocking()
        assert arrived(ours) == b""
        assert not has_left(ours)
        theirs.send(b"GET")
        assert not has_left(ours)
        assert arrived(ours) == b"GET"
        theirs.close()
        assert has_left(ours)
        assert arrived(ours) is None
    assert has_left(ours)


def test_a_unix_socket_has_no_host() -> None:
    assert host_of(("192.0.2.1", 80)) == "192.0.2.1"
    assert host_of("") == "unix"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
def test_takes_connections_of_every_kind(family: socket.AddressFamily, tmp_path: Path) -> None:
    places = {socket.AF_INET: ("127.0.0.1", 0), socket.AF_INET6: ("::1", 0)}
    plain = socket.socket(family)
    try:
        plain.bind(places.get(family, str(tmp_path / "s")))
    except OSError:
        plain.close()
        pytest.skip("this machine has no such address")
    plain.listen()
    plain.setblocking(False)
    with Listening(plain.detach()) as listening, socket.socket(family) as client:
        with pytest.raises(BlockingIOError):
            listening.take()
        client.connect(listening.getsockname())
        taken, address = listening.take()
        assert host_of(address) == {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}.get(
            family, "unix"
        )
        with full(taken) as whole:
            assert taken.fileno() < 0
            assert type(whole) is socket.socket
            assert (whole.family, whole.type) == (family, socket.SOCK_STREAM)
            client.sendall(b"GET")
            assert whole.recv(3) == b"GET"
