"""Which requests ask for a WebSocket that is served: they get a cycle of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import h11
from wsproto import ConnectionType, WSConnection
from wsproto.events import Request
from wsproto.utilities import RemoteProtocolError

from ...core.dialects.sessions.paths import is_session_path
from ...core.wire.binary.socket_frames import SUBPROTOCOL
from ..byte_stream import ByteStream
from ..cycle import CycleHost, RequestCycle
from .cycle import WebSocketCycle

Cycle = RequestCycle | WebSocketCycle

# Part of `Sec-WebSocket-Key`, which every such request has, as clients spell it. Two searches cost
# a tenth of a microsecond; to look at each field costs one.
_SPELLED: Final = (b"ebSocket", b"ebsocket", b"EBSOCKET")
_READ: Final = frozenset(
    {b"connection", b"upgrade", b"sec-websocket-key", b"sec-websocket-version"}
)
_OFFERED: Final = b"sec-websocket-protocol"
# RFC 6455 has no body in an opening, and what reads one would take frames for it.
_FRAMED: Final = frozenset({b"content-length", b"transfer-encoding"})


def cycle_of(
    stream: ByteStream,
    host: CycleHost,
    parser: h11.Connection | None,
    scope: dict[str, Any],
    head: bytes,
    most: int,
) -> Cycle:
    """Return what runs the app on the request of `head`.

    `most` is how many bytes a message may have.
    """
    cycle = RequestCycle(stream, host, parser, scope)
    if _SPELLED[0] in head or _SPELLED[1] in head or _SPELLED[2] in head:
        handshake = _handshake(scope)
        if handshake is not None:
            return WebSocketCycle(stream, cycle, handshake, offered(scope["headers"]), most)
    scope["extensions"]["gateway.request"] = {"served": cycle}
    return cycle


def offered(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """Return the subprotocols that a client offers, in its order; none that cannot be one."""
    lists = [value.decode("latin-1") for name, value in headers if name == _OFFERED]
    names = (text.strip() for each in lists for text in each.split(","))
    return [each for each in names if SUBPROTOCOL.fullmatch(each)]


def _handshake(scope: dict[str, Any]) -> WSConnection | None:
    """Return the server's side of a WebSocket; None for a request that opens none."""
    headers = scope["headers"]
    names = {name for name, _ in headers}
    if scope["method"] != "GET" or scope["http_version"] != "1.1" or names & _FRAMED:
        return None
    if not is_session_path(scope["path"]):
        return None
    # Without the rest of the head: wsproto decodes more of it than it needs.
    read = [(name, value) for name, value in headers if name in _READ]
    if names_offered := ", ".join(offered(headers)).encode("ascii"):
        read.append((_OFFERED, names_offered))
    found = WSConnection(ConnectionType.SERVER)
    try:
        found.initiate_upgrade_connection([(b"host", b"here"), *read], b"/")
        requests = [each for each in found.events() if isinstance(each, Request)]
    except (RemoteProtocolError, h11.ProtocolError, UnicodeError):
        # The app says what is missing, in the words of the API.
        return None
    return found if requests else None
