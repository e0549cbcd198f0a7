"""The routes of the admin API, and one request on its way through them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match, Route, Router
from starlette.types import ASGIApp, Scope

from ..errors import (
    ClientGone,
    GatewayError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    SendStalled,
    StoreUnavailable,
)
from ..proxy.disconnect import cancel_on_disconnect
from ..proxy.protocols import Client
from . import control, in_flight, queries, status
from .asgi_bridge import AsgiBridge
from .captures import CaptureEndpoint
from .controls.routes import CONTROLS
from .exports import ExportEndpoints
from .request import AdminRequest, recent_views
from .resources import Resources
from .sign_in import Authenticator

Handler = Callable[[AdminRequest], Awaitable[ASGIApp]]

# Bytes of a body, unless the route says otherwise. Most routes need none; some clients send
# one, such as {}, with every POST.
BODY_BYTES: Final = 64 * 1024
_BODY_SECONDS: Final = 10.0
# Seconds, after which a lock is over and a restarted server is back.
_STORE_RETRY: Final = 5.0

_log = structlog.get_logger(__name__)


class AdminRoute(NamedTuple):
    """`path` comes after /admin/api/; a GET takes HEAD as well. `body_bytes` bounds the body."""

    method: str
    path: str
    handler: Handler
    body_bytes: int = BODY_BYTES


class AdminApi:
    """Everything under /admin/; see `serve`."""

    def __init__(self, resources: Resources, routes: Sequence[AdminRoute] | None = None) -> None:
        self._resources = resources
        self._authenticator = Authenticator(resources.audit)
        self._viewed = recent_views()
        self._limits = [
            (
                Route(
                    f"/admin/api/{route.path}",
                    self._endpoint(route.handler),
                    methods=[route.method],
                ),
                route.body_bytes,
            )
            for route in (all_routes() if routes is None else routes)
        ]
        self._router = Router(
            [route for route, _ in self._limits],
            # Starlette would send a Location made of what the caller says our host is.
            redirect_slashes=False,
        )

    async def serve(self, scope: Scope, client: Client, key: bytes | None) -> None:
        """Answer one request, which came with `key`. Raises nothing but SendStalled.

        Of the ASGI scope only the method, the raw path, the query string, the headers and the
        client are read.
        """
        try:
            await self._serve(scope, client, key)
        except ClientGone:
            return
        except SendStalled:
            raise
        except Exception as exc:  # noqa: BLE001  # logged, or it is the answer
            if not isinstance(exc, GatewayError):
                _log.exception(
                    "admin request failed",
                    path=scope["raw_path"].decode("ascii", "backslashreplace"),
                )
                exc = InternalError("the gateway made a mistake; its log has more")
            elif client.status is not None:
                # Left unfinished: the connection ends, and the caller sees that it did.
                _log.warning("an answer was broken off", error=exc.message)
            if client.status is None:
                await client.refuse(exc)

    async def _serve(self, scope: Scope, client: Client, key: bytes | None) -> None:
        path = unquote_to_bytes(scope["raw_path"]).decode("utf-8", "replace")
        # The key comes first: without one no body is read, and no path is admitted to exist.
        peer = scope.get("client")
        snapshot = self._resources.snapshot()
        admin = self._authenticator.sign_in(snapshot, key, peer[0] if peer else None, path)
        inner = {
            "type": "http",
            "method": scope["method"],
            "path": path.rstrip("/"),
            "query_string": scope.get("query_string", b""),
            "headers": scope["headers"],
            "client": peer,
            # With an "app", Starlette raises its errors instead of answering in its own shape.
            "app": self._router,
            "gateway.admin": admin,
        }
        body = await client.read_body(self._body_limit(inner), _BODY_SECONDS)
        bridge = AsgiBridge(client, body)
        try:
            await cancel_on_disconnect(
                bridge, lambda: self._router(inner, bridge.receive, bridge.send)
            )
        except HTTPException as exc:
            raise _translated(exc, scope["method"], path) from exc
        except StoreUnavailable as exc:
            exc.retry_after = exc.retry_after or _STORE_RETRY
            raise

    def _body_limit(self, scope: Scope) -> int:
        """Return how many bytes the body of this request may have."""
        limits = (size for route, size in self._limits if route.matches(scope)[0] is Match.FULL)
        return next(limits, BODY_BYTES)

    def _endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[ASGIApp]]:
        async def endpoint(http: Request) -> ASGIApp:
            admin = http.scope["gateway.admin"]
            return await handler(AdminRequest(http, self._resources, admin, self._viewed))

        return endpoint


def all_routes() -> list[AdminRoute]:
    exports = ExportEndpoints()
    return [
        AdminRoute("GET", "requests", queries.requests),
        # Callers may choose ids, and those may hold slashes.
        AdminRoute("GET", "requests/{id:path}", queries.one_request),
        AdminRoute("GET", "in-flight", in_flight.in_flight),
        AdminRoute("GET", "audit", queries.audit),
        AdminRoute("GET", "usage", queries.used),
        AdminRoute("GET", "costs", queries.costs),
        AdminRoute("GET", "health", queries.health),
        AdminRoute("GET", "stats", queries.figures),
        AdminRoute("GET", "export/requests", exports.requests),
        AdminRoute("GET", "export/audit", exports.audit),
        AdminRoute("GET", "export/usage", exports.usage),
        AdminRoute("GET", "debug/{id:path}", CaptureEndpoint().show),
        AdminRoute("GET", "status", status.status),
        AdminRoute("POST", "reload", control.reload),
        *(AdminRoute(*each) for each in CONTROLS),
    ]


def _translated(error: HTTPException, method: str, path: str) -> GatewayError:
    headers: Any = error.headers or {}
    if error.status_code == MethodNotAllowed.status:
        allow = ", ".join(sorted(headers["Allow"].split(", ")))
        return MethodNotAllowed(f"{path} takes {allow}, not {method}", allow=allow)
    return NotFound(f"there is nothing at {method} {path}")
