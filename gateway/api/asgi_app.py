"""The ASGI application."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog
import trio

from ..config.snapshot import Snapshot
from ..core import log_context
from ..core.admin_path import HERE, is_below
from ..core.client_address import client_address
from ..core.records.record import UNTOLD
from ..errors import (
    AuthenticationFailed,
    ConfigError,
    GatewayError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    SendStalled,
    ShuttingDown,
    UpgradeRequired,
)
from ..lifecycle import Lifecycle
from ..proxy.exchange import Exchange
from ..proxy.protocols import HeaderPairs
from ..proxy.reservation import rate_limits
from ..proxy.services import Services
from . import cors, operations, routes
from .calls import CALLS, work_of
from .client import AsgiClient
from .endpoints import AdminEndpoint, MetricsScraper
from .open_gateway import check_open
from .replies import Reply
from .request import api_key, content_length, has_body, headers_of, request_id
from .requests.served_request import Message, Receive, Send, served_request
from .requests.signed_request import signed_request
from .routes import ApiRoute, Operation
from .sessions import serve_websocket
from .spoken_dialect import DEFAULT_DIALECT, dialect_of

_log = structlog.get_logger(__name__)

Scope = Message


class Runtime:
    """What a started application works with. `snapshot` is replaced whole by a reload, and the
    admin API is below `admin_path`: None if it is elsewhere."""

    def __init__(
        self,
        services: Services,
        snapshot: Snapshot,
        administration: AdminEndpoint,
        metrics: MetricsScraper | None = None,
        admin_path: str | None = HERE,
    ) -> None:
        self.services = services
        self.snapshot = snapshot
        self.administration = administration
        self.metrics = metrics
        self.admin_path = admin_path


class AsgiApp:
    """The application: raw ASGI, since this is the hot path.

    `start` makes what it runs with, inside the lifespan, and takes it down again.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        start: Callable[[], AbstractAsyncContextManager[Runtime]],
    ) -> None:
        self._lifecycle = lifecycle
        self._start = start
        self._running: Runtime | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            await self._http(scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(receive, send)
        else:
            await serve_websocket(lambda: self._running, scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        if not trio.lowlevel.in_trio_run():
            message = "the gateway runs on Trio; start it with: hypercorn -k trio gateway.app:app"
            await send({"type": "lifespan.startup.failed", "message": message})
            return
        try:
            async with self._start() as running:
                self._running = running
                self._lifecycle.ready()
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as exc:  # noqa: BLE001  # the server is told, in ASGI's own words
            if self._running is not None:
                # What every request needs is gone, and Hypercorn would only log it and serve on.
                _log.critical("the gateway has failed and ends", exc_info=exc)
                self._lifecycle.start_drain()
                await send({"type": "lifespan.shutdown.failed", "message": repr(exc)})
                return
            # Told of no failure, Hypercorn would go on without a lifespan, and nothing would work.
            await send({"type": "lifespan.startup.failed", "message": _reason(exc)})
            return
        finally:
            self._running = None
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        running = self._running
        headers = headers_of(scope)
        trusted = running.snapshot.server.request_id_header if running else ""
        identity = request_id(headers, trusted.lower().encode("ascii"))
        log_context.request_id.set(identity.decode("ascii"))
        path, query = routes.decoded(scope["raw_path"]), scope.get("query_string", b"")
        # No web page gets leave to call the admin API, whatever [cors] allows for the rest.
        for_admins = is_below(path, running.admin_path if running else HERE)
        served = served_request(scope)
        snapshot = running.snapshot if running else None
        signed = signed_request(snapshot, path, scope, headers, receive, served)
        client = AsgiClient(
            receive if signed is None else signed.receive,
            send,
            identity,
            self._lifecycle,
            DEFAULT_DIALECT if for_admins else dialect_of(path, headers, query),
            has_body=has_body(headers),
            content_length=content_length(headers),
            always=() if for_admins else _cors_headers(running, headers),
            served=served if signed is None else signed,
        )
        try:
            try:
                if running is None:
                    raise ShuttingDown("the gateway is not running", retry_after=1)
                if for_admins:
                    await running.administration.serve(scope, client, api_key(headers))
                    return
                if scope["method"] == "OPTIONS":
                    allowed = cors.preflight(running.snapshot.cors, headers)
                    if allowed is not None:
                        await client.reply(200, allowed, b"")
                        return
                if signed is not None:
                    refused = running.services.traffic.refused
                    headers = signed.shown(headers, refused, _address(running, scope))
                snapshot = running.snapshot
                if snapshot.open and not path.startswith(routes.HEALTH_PREFIX):
                    check_open(snapshot, scope, headers)
                route, argument = _route(running, scope["method"], path, headers, query)
                if route.operation in CALLS:
                    client.dialect = routes.spoken(route, client.dialect)
                    asked = (headers, identity, route, argument)
                    await self._call(running, client, scope, *asked, signed=signed is not None)
                elif route.operation is Operation.METRICS:
                    await client.reply(*await _scrape(running, headers))
                else:
                    reply = await self._operation(running, client, route, argument, scope, headers)
                    await client.reply(*reply)
            except GatewayError as exc:
                await client.refuse(exc)
        except SendStalled:
            _log.info("client stalled", request_id=identity.decode("ascii"))

    async def _call(
        self,
        running: Runtime,
        client: AsgiClient,
        scope: Scope,
        headers: dict[bytes, bytes],
        identity: bytes,
        route: ApiRoute,
        argument: str,
        *,
        signed: bool,
    ) -> None:
        """Serve what a provider is asked for."""
        tracer = running.services.tracer
        exchange = Exchange(
            running.services,
            running.snapshot,
            client,
            identity,
            client.dialect,
            _address(running, scope),
            headers,
            None if tracer is None else tracer.begin(scope["headers"]),
        )
        exchange.signed = signed
        if waited := (scope.get("extensions") or {}).get("gateway.waited"):
            exchange.settlement.waited(waited["seconds"])
        client.carry(exchange.about)
        client.before_last(exchange.give_place)
        client.before_body(exchange.hold_body)
        key = api_key(headers, scope.get("query_string", b""))
        try:
            await exchange.run(work_of(route.operation, argument, scope, key, headers, client))
            told = exchange.settlement.reason not in UNTOLD
            if client.dialect.closes_failed and client.open and told:
                await client.finish(b"")
        finally:
            client.let_go()

    async def _operation(
        self,
        running: Runtime,
        client: AsgiClient,
        route: ApiRoute,
        argument: str,
        scope: Scope,
        headers: dict[bytes, bytes],
    ) -> Reply:
        operation, dialect = route.operation, client.dialect
        if (known := operations.SAID.get(operation)) is not None:
            return known()
        if operation is Operation.READY:
            return operations.ready(self._lifecycle)
        snapshot = running.snapshot
        query = scope.get("query_string", b"")
        key, address = api_key(headers, query), _address(running, scope)
        caller = running.services.traffic.refused.authenticate(snapshot, key, address)
        if caller.limited:
            client.carry(lambda: rate_limits(running.services.limits, caller))
        if operation is Operation.MODELS:
            return operations.models(dialect, snapshot, caller, query.decode("latin-1"))
        if operation is Operation.SHOWN_MODEL:
            # Not before the key: nobody unknown has a body read.
            argument = await operations.named(client)
        if operation in (Operation.MODEL, Operation.SHOWN_MODEL):
            return operations.model(dialect, snapshot, caller, argument)
        raise InternalError(f"the route {operation.value} has no handler")


def _address(running: Runtime, scope: Scope) -> str | None:
    peer: Any = scope.get("client")
    trusted = running.snapshot.server.trusted_proxies
    return client_address(peer[0] if peer else None, scope["headers"], trusted)


def _route(
    running: Runtime, method: str, path: str, headers: dict[bytes, bytes], query: bytes
) -> tuple[ApiRoute, str]:
    """Return what serves a path. Raises NotFound and MethodNotAllowed, which are counted.

    Codex asks for a WebSocket first, and after a 426 at once for the same by HTTP; any other
    refusal costs it several tries. So a 426 is what it gets, and no line in the log.
    """
    try:
        return routes.match(method, path, query)
    except (NotFound, MethodNotAllowed) as exc:
        wanted = headers.get(b"upgrade", b"").lower()
        if isinstance(exc, MethodNotAllowed) and wanted == b"websocket":
            message = f"{path} is not served over a WebSocket; send a POST"
            raise UpgradeRequired(message) from exc
        running.services.unserved.note(method, path, exc.status, trio.current_time())
        if path == "/" and running.admin_path is not None:
            raise NotFound(f"{exc.message}; for people there is {running.admin_path}/") from exc
        raise


async def _scrape(running: Runtime, headers: dict[bytes, bytes]) -> Reply:
    metrics, snapshot = running.metrics, running.snapshot
    if metrics is None:
        raise NotFound("there are no metrics: [metrics] enabled is false in the configuration")
    if not snapshot.shows_metrics(api_key(headers)):
        raise AuthenticationFailed(
            "metrics are shown to the keys of [[admins]], or to all with [metrics] public = true"
        )
    accept = headers.get(b"accept")
    kind, body = await metrics.scrape(None if accept is None else accept.decode("latin-1"))
    return 200, [(b"content-type", kind)], body


def _cors_headers(running: Runtime | None, headers: dict[bytes, bytes]) -> HeaderPairs:
    origin = headers.get(b"origin")
    if origin is None or running is None:
        return ()
    return cors.answer_headers(running.snapshot.cors, origin)


def _reason(error: Exception) -> str:
    """Return why the start failed; a nursery wraps what went wrong inside it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, ConfigError):
        return str(error)
    _log.error("the gateway cannot start", exc_info=error)
    return f"{type(error).__name__}: {error}"
