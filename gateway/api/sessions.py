"""Openings of sessions over WebSocket, from ASGI's scope to the exchange that serves one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import trio

from ..config.snapshot import Snapshot
from ..core import log_context
from ..core.client_address import client_address
from ..core.dialects.sessions.base import SessionDialect
from ..core.dialects.sessions.paths import session_dialect
from ..core.records.record import EndReason
from ..core.wire.binary.socket_frames import FAILED, GOING_AWAY, NORMAL, POLICY, SocketClose
from ..errors import GatewayError, SendStalled, ShuttingDown, UpgradeRequired
from ..proxy.exchange import Exchange
from ..proxy.operations.sessions import SessionCall, serve_session
from ..proxy.services import Services
from ..proxy.unserved import WEBSOCKET
from . import routes
from .calls import unless_looping
from .open_gateway import check_open
from .request import api_key, asked, headers_of, request_id
from .requests.served_request import Message, Receive, Send
from .spoken_dialect import DEFAULT_DIALECT
from .web_socket import AsgiWebSocket

# How a session is closed that has not been already, by how it ended.
_CLOSES: Final = {
    EndReason.COMPLETE: NORMAL,
    EndReason.SHUTTING_DOWN: GOING_AWAY,
    EndReason.CANCELLED: POLICY,
    EndReason.REJECTED: POLICY,
    EndReason.PROVIDER_REJECTED: POLICY,
}


class RunningGateway(Protocol):
    @property
    def services(self) -> Services: ...

    @property
    def snapshot(self) -> Snapshot: ...


async def serve_websocket(
    running: Callable[[], RunningGateway | None], scope: Message, receive: Receive, send: Send
) -> None:
    """Serve what asks for a WebSocket. Raises nothing."""
    gateway = running()
    headers = headers_of(scope)
    trusted = gateway.snapshot.server.request_id_header if gateway else ""
    identity = request_id(headers, trusted.lower().encode("ascii"))
    log_context.request_id.set(identity.decode("ascii"))
    path = routes.decoded(scope["raw_path"])
    dialect = session_dialect(path)
    socket = AsgiWebSocket(scope, receive, send, identity, dialect or DEFAULT_DIALECT)
    await receive()
    try:
        try:
            if gateway is None:
                raise ShuttingDown("the gateway is not running", retry_after=1)
            if dialect is None:
                now = trio.current_time()
                gateway.services.unserved.note(WEBSOCKET, path, UpgradeRequired.status, now)
                raise UpgradeRequired(f"{path} is not served over a WebSocket")
            snapshot = gateway.snapshot
            if snapshot.open:
                check_open(snapshot, {**scope, "method": "GET"}, headers)
            await _serve(gateway, running, scope, socket, dialect, headers, identity)
        except GatewayError as exc:
            await socket.refuse(exc)
    except SendStalled:
        return


async def _serve(
    gateway: RunningGateway,
    running: Callable[[], RunningGateway | None],
    scope: Message,
    socket: AsgiWebSocket,
    dialect: SessionDialect,
    headers: dict[bytes, bytes],
    identity: bytes,
) -> None:
    snapshot, services = gateway.snapshot, gateway.services
    peer: Any = scope.get("client")
    query = scope.get("query_string", b"")
    opening = dialect.opening(query, scope.get("subprotocols") or ())
    key = api_key(headers, query) or opening.key
    options = asked(headers)
    tracer = services.tracer
    exchange = Exchange(
        services,
        snapshot,
        socket,
        identity,
        dialect,
        client_address(
            peer[0] if peer else None, scope["headers"], snapshot.server.trusted_proxies
        ),
        headers,
        None if tracer is None else tracer.begin(scope["headers"]),
    )
    if waited := (scope.get("extensions") or {}).get("gateway.waited"):
        exchange.settlement.waited(waited["seconds"])
    socket.carry(exchange.about)

    def current() -> Snapshot | None:
        now = running()
        return None if now is None else now.snapshot

    call = SessionCall(dialect, opening, current, query)

    async def work(exchange: Exchange) -> None:
        await serve_session(exchange, key, call, options, socket)

    await exchange.run(unless_looping(work, scope, headers))
    reason = exchange.settlement.reason or EndReason.INTERNAL_ERROR
    if reason is not EndReason.CLIENT_GONE:
        await socket.close(SocketClose(_CLOSES.get(reason, FAILED), exchange.record.error or ""))
