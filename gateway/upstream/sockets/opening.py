"""Asks a provider for a WebSocket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Event, RejectConnection, RejectData, Request
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from ...core.routing.call import Call
from ...core.wire.binary.socket_frames import SocketRefused
from ...transport_errors import ConnectionLost, ProtocolViolation
from ..connection import UpstreamConnection
from ..heads import MAX_HEAD, RESERVED
from .socket import ProviderWebSocket

# A refusal is an error object; what comes beyond that of its body is not read.
_MOST_REFUSED: Final = 64 * 1024
_OWN: Final = RESERVED | {
    *(b"connection", b"sec-websocket-key", b"sec-websocket-version"),
    *(b"sec-websocket-protocol", b"sec-websocket-extensions"),
}


async def open_socket(
    connection: UpstreamConnection,
    call: Call,
    subprotocols: tuple[str, ...],
    most: int,
    forfeit: Callable[[UpstreamConnection], None],
) -> ProviderWebSocket | SocketRefused:
    """Ask for a WebSocket on a new connection; `forfeit` ends it and gives its slot back.

    Raises UpstreamFailure, and ValueError if the call cannot be written as HTTP.
    """
    ws = WSConnection(ConnectionType.CLIENT)
    names = {name for name, _ in call.headers}
    if refused := names & _OWN:
        raise ValueError(f"the headers {sorted(refused)} are not the caller's to set")
    request = Request(
        host=call.origin.authority.decode("ascii"),
        target=call.target.decode("ascii"),
        extra_headers=list(call.headers),
        subprotocols=list(subprotocols),
    )
    try:
        head = ws.send(request)
    except (LocalProtocolError, UnicodeError):
        # Not `from exc`: its text may quote a credential.
        raise ValueError("the target or a header of a call is illegal") from None
    await connection.send(head, b"")
    refusal = _Refusal()
    while True:
        data = await connection.receive()
        if not data and not refusal.status:
            raise ConnectionLost("the connection ended without an answer")
        try:
            ws.receive_data(data or None)
        except (RemoteProtocolError, UnicodeError) as exc:
            raise ProtocolViolation(f"not an HTTP response: {str(exc)[:200]}") from exc
        for event in ws.handshake.events():
            if isinstance(event, AcceptConnection):
                if event.extensions:
                    raise ProtocolViolation("the provider chose an extension that was not offered")
                found = [(name.lower(), value) for name, value in event.extra_headers]
                return ProviderWebSocket(connection, ws, forfeit, found, event.subprotocol, most)
            refusal.add(event)
        if refusal.whole or (refusal.status and not data):
            return SocketRefused(refusal.status, refusal.headers, bytes(refusal.body))
        refusal.received += len(data)
        if not refusal.status and refusal.received > MAX_HEAD:
            raise ProtocolViolation("the head of the answer is too long")


class _Refusal:
    """An answer that opens nothing, as far as it has come."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.whole = False
        self.received = 0

    def add(self, event: Event) -> None:
        if isinstance(event, RejectConnection):
            self.status = event.status_code
            self.headers = [(name.lower(), value) for name, value in event.headers]
            self.whole = not event.has_body
        elif isinstance(event, RejectData):
            self.body += event.data
            self.whole = event.body_finished or len(self.body) > _MOST_REFUSED
