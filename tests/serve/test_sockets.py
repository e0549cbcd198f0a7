"""Listening sockets: forms of addresses, options, and what people are told."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from gateway.serve.sockets import ListenError, _why, adopt, describe, listen


def opened(*addresses: str) -> list[socket.socket]:
    return listen(addresses, send_timeout=30)


def test_listens_with_the_options_that_accepted_sockets_inherit() -> None:
    (sock,) = opened("127.0.0.1:0")
    with sock, socket.create_connection(sock.getsockname()):
        sock.setblocking(True)
        accepted, _ = sock.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                option = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                assert option == 31_000


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_listens_on_ipv6_and_on_several_addresses() -> None:
    try:
        sockets = opened("[::1]:0", "127.0.0.1:0")
    except ListenError as error:
        pytest.skip(str(error))
    assert [sock.family for sock in sockets] == [socket.AF_INET6, socket.AF_INET]
    assert describe(sockets[0]).startswith("[::1]:")
    for sock in sockets:
        sock.close()


def test_an_empty_host_is_every_address() -> None:
    sockets = opened(":0")
    assert "0.0.0.0" in {sock.getsockname()[0] for sock in sockets}
    for sock in sockets:
        sock.close()


def test_listens_on_a_path_and_replaces_a_stale_one(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/gateway.sock"
    (sock,) = opened(address)
    assert describe(sock) == address
    with pytest.raises(ListenError, match="in use"):
        opened(address)
    sock.close()
    (again,) = opened(address)
    again.close()


def test_never_removes_what_is_not_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(ListenError, match="in use"):
        opened(f"unix:{path}")
    assert path.read_text() == "data"


@pytest.mark.parametrize(
    "address", ["", "8000", "host", "host:", "host:http", "host:70000", "::1:80", "host:-1"]
)
def test_says_how_an_address_is_written(address: str) -> None:
    with pytest.raises(ListenError, match="host:port"):
        opened(address)


def test_an_address_in_use_is_named_and_nothing_stays_open() -> None:
    (sock,) = opened("127.0.0.1:0")
    taken = describe(sock)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ListenError, match=f"{taken}: the address is in use"):
        opened("127.0.0.1:0", taken)
    assert len(os.listdir("/proc/self/fd")) == before
    sock.close()


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(ListenError, match="does not have that address"):
        opened("192.0.2.1:80")


@pytest.mark.parametrize(
    ("code", "words"), [(errno.EACCES, "not permitted"), (errno.ENOMEM, "memory")]
)
def test_other_reasons_are_given(code: int, words: str) -> None:
    assert words in _why(OSError(code, os.strerror(code)))


def test_nothing_to_listen_on_is_an_error() -> None:
    with pytest.raises(ListenError):
        opened()


def test_adopts_a_socket_by_its_descriptor() -> None:
    (sock,) = opened("127.0.0.1:0")
    adopted = adopt(sock.detach())
    with adopted, socket.create_connection(adopted.getsockname()):
        assert not adopted.getblocking()
    with pytest.raises(ListenError, match="not a socket"):
        adopt(999)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_unix_socket_is_its_owner_s_and_its_group_s(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "gateway.sock"
    before = os.umask(umask)
    try:
        (sock,) = listen([f"unix:{path}"], send_timeout=30)
    finally:
        os.umask(before)
    with sock:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
