"""Listening sockets, with the options that Hypercorn does not set."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterable
from typing import Final

# Hypercorn's 100 overflows in a burst of clients that reconnect; the kernel caps this at
# `net.core.somaxconn` (4096 on current Linux).
BACKLOG: Final = 2048
# A client whose machine vanished during a long wait for a provider sends no FIN.
_KEEP_IDLE: Final = 60

# Of a Unix socket: its owner and group may connect, such as a web server in front.
UNIX_MODE: Final = 0o660


class ListenError(Exception):
    """An address can't be listened on; says which and why, for a person to read."""


def listen(addresses: Iterable[str], *, send_timeout: float) -> list[socket.socket]:
    """Return sockets that listen on "host:port", "[ipv6]:port", ":port" and "unix:/path".

    A name may have several addresses and then gives as many sockets; ":port" is every address
    of this machine. Port 0 takes a free one. `send_timeout` in seconds becomes the kernel's
    own limit for connections that have not been taken over yet. Raises `ListenError`, with
    nothing left open.
    """
    with contextlib.ExitStack() as opened:
        sockets: list[socket.socket] = []
        for address in addresses:
            sockets += map(opened.enter_context, _open(address, send_timeout))
        if not sockets:
            raise ListenError("There is no address to listen on.")
        opened.pop_all()
        return sockets


def adopt(descriptor: int) -> socket.socket:
    """Return the listening socket that a parent process handed down."""
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ListenError(f"Descriptor {descriptor} is not a socket: {error.strerror}.") from error
    sock.setblocking(False)
    return sock


def describe(sock: socket.socket) -> str:
    """Return the address of `sock` in the form that `listen` takes."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{host}:{name[1]}"


def _open(address: str, send_timeout: float) -> list[socket.socket]:
    if address.startswith("unix:"):
        return [_open_unix(address, address.removeprefix("unix:"))]
    host, port = _split(address)
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except socket.gaierror as error:
        raise ListenError(f"Cannot listen on {address}: {error.strerror}.") from error
    with contextlib.ExitStack() as opened:
        sockets = []
        for family, _, _, _, name in dict.fromkeys(found):
            sock = opened.enter_context(_create(address, family))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Accepted sockets inherit all of these.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_KEEPIDLE"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_IDLE)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                # For connections that are not ours yet, or never become so. Ours lift it and
                # measure themselves (`progress.py`): it takes slow readers for dead ones.
                milliseconds = int(send_timeout * 1000) + 1000
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
            if family == socket.AF_INET6:
                # Or "[::]:80" would claim IPv4 as well and collide with "0.0.0.0:80".
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            _bind(sock, address, name)
            sockets.append(sock)
        opened.pop_all()
        return sockets


def _split(address: str) -> tuple[str | None, int]:
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not bracketed):
        raise ListenError(
            f"Cannot listen on {address!r}: write it as host:port, [ipv6]:port or unix:/path."
        )
    return (host[1:-1] if bracketed else host) or None, int(port)


def _create(address: str, family: int) -> socket.socket:
    try:
        return socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ListenError(f"Cannot listen on {address}: {error.strerror}.") from error


def _bind(sock: socket.socket, address: str, name: object) -> None:
    try:
        sock.bind(name)  # type: ignore[arg-type]  # the address as getaddrinfo gave it
        sock.listen(BACKLOG)
    except OSError as error:
        raise ListenError(f"Cannot listen on {address}: {_why(error)}.") from error
    sock.setblocking(False)


def _why(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "the address is in use, perhaps by another gateway"
        case errno.EACCES | errno.EPERM:
            return "not permitted; ports below 1024 need a privilege, sockets a writable folder"
        case errno.EADDRNOTAVAIL:
            return "this machine does not have that address"
        case _:
            return error.strerror or str(error)


def _open_unix(address: str, path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        # Before it has a name and after, whatever the umask: Linux and others look at either.
        os.fchmod(sock.fileno(), UNIX_MODE)
        _bind(sock, address, path)
        os.chmod(path, UNIX_MODE)
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_stale(path: str) -> None:
    """Remove a socket file that no process listens on; such files outlive their process."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except OSError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError:
            return
