"""Who is at the other end of a connection: its peer, or whom a load balancer says it is.

The PROXY protocol, versions 1 and 2 (haproxy.org, `doc/proxy-protocol.txt`): a load balancer that
passes bytes on says first whose they are. With it switched on every connection must begin so: one
that may or may not would let any client say who it is (section 2).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

import trio
from hypercorn.utils import parse_socket_addr

from ...core.sign_in import is_within
from ..policy import ServingPolicy

# Section 2.2. Both versions are longer than it is.
_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
# Section 2.1, "the worst case": 107 bytes with the end of the line.
_LONGEST_LINE: Final = 107
# What follows version 2's addresses is of the load balancer's own choice: certificates, names.
_LONGEST_REST: Final = 4096
_SAY_EVERY: Final = 60.0

# As ASGI has it: None for a Unix socket.
Peer = tuple[str, int] | None

_log = logging.getLogger(__name__)
_silent_until = 0.0


class ProxiedListener(trio.abc.Listener[trio.SocketStream]):
    """Accepts one after the other, as Trio does, and reads nothing before the PROXY header is."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self.socket: Final = listener.socket

    async def accept(self) -> trio.SocketStream:
        return await self._listener.accept()

    async def aclose(self) -> None:
        await self._listener.aclose()


def listener_for(
    policy: Callable[[], ServingPolicy], sock: trio.socket.SocketType
) -> trio.SocketListener | ProxiedListener:
    """Return what stands in for `trio.SocketListener(sock)`."""
    listener = trio.SocketListener(sock)
    return ProxiedListener(listener) if policy().proxy_protocol else listener


async def peer_of(sock: Any, policy: ServingPolicy) -> Peer:
    """Return who is at the other end of a Trio socket from which nothing has been read.

    Raises OSError or `trio.BrokenResourceError` for a connection to hang up on.
    """
    peer: Peer = parse_socket_addr(sock.family, sock.getpeername())
    if not policy.proxy_protocol:
        return peer
    if policy.trusted_proxies and not is_within(peer[0] if peer else None, policy.trusted_proxies):
        raise _refused("which is none of [server] trusted_proxies", peer)
    with trio.move_on_after(policy.header_timeout):
        beginning = await _exactly(sock, len(_SIGNATURE))
        if beginning == _SIGNATURE:
            found = await _binary(sock)
        elif beginning.startswith(b"PROXY "):
            found = await _line(sock, beginning)
        else:
            raise _refused("which did not begin with a PROXY header", peer)
        # Of the load balancer's own connections, such as its health checks, nothing is said.
        return found or peer
    raise _refused("which did not send its PROXY header in time", peer)


def _refused(why: str, peer: Peer) -> trio.BrokenResourceError:
    global _silent_until  # noqa: PLW0603  # of all connections together
    if (now := time.monotonic()) >= _silent_until:
        _silent_until = now + _SAY_EVERY
        _log.warning("hung up on %s, %s", peer[0] if peer else "a Unix socket", why)
    return trio.BrokenResourceError(why)


async def _exactly(sock: Any, count: int) -> bytes:
    """Read no more: what follows belongs to TLS or to HTTP."""
    read = b""
    while len(read) < count:
        data = await sock.recv(count - len(read))
        if not data:
            raise trio.BrokenResourceError("closed")
        read += data
    return read


async def _line(sock: Any, line: bytes) -> Peer:
    if b"\r" in line[:-1]:
        # It ended before what has been read did, and no line is so short: nothing more will come.
        raise trio.BrokenResourceError("a malformed PROXY line")
    while not line.endswith(b"\r\n"):
        if len(line) >= _LONGEST_LINE:
            raise trio.BrokenResourceError("a PROXY line that does not end")
        line += await _exactly(sock, 1)
    words = line[:-2].split(b" ")
    if words[1] == b"UNKNOWN":
        return None
    if len(words) != 6 or words[1] not in (b"TCP4", b"TCP6"):
        raise trio.BrokenResourceError("a malformed PROXY line")
    version = 4 if words[1] == b"TCP4" else 6
    return _peer(words[2].decode("latin-1"), words[4].decode("latin-1"), version)


async def _binary(sock: Any) -> Peer:
    head = await _exactly(sock, 4)
    version, command, family = head[0] >> 4, head[0] & 15, head[1]
    length = int.from_bytes(head[2:], "big")
    if version != 2 or command > 1 or length > _LONGEST_REST:
        raise trio.BrokenResourceError("a malformed PROXY header")
    rest = await _exactly(sock, length)
    # Over TCP (1 in the lower half) from IPv4 (1) or IPv6 (2): source, destination, two ports.
    size = {0x11: 4, 0x21: 16}.get(family)
    if command == 0 or size is None:
        return None
    if length < 2 * size + 4:
        raise trio.BrokenResourceError("a PROXY header that is too short")
    port = int.from_bytes(rest[2 * size : 2 * size + 2], "big")
    return str(ip_address(rest[:size])), port


def _peer(address: str, port: str, version: int) -> Peer:
    try:
        found = ip_address(address)
    except ValueError:
        found = None
    if found is None or found.version != version or not port.isdecimal() or int(port) > 65535:
        raise trio.BrokenResourceError("a malformed PROXY line")
    return str(found), int(port)
