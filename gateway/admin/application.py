"""The routes of the admin API, and one request on its way through them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route, Router
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
from . import queries, status
from .asgi_bridge import AsgiBridge
from .captures import CaptureEndpoint
from .exports import ExportEndpoints
from .request import AdminRequest, recent_views
from .resources import Resources
from .sign_in import Authenticator

Handler = Callable[[AdminRequest], Awaitable[ASGIApp]]

# No route takes a body; some clients send one, such as {}, with every POST.
_BODY_BYTES: Final = 64 * 1024
_BODY_SECONDS: Final = 10.0
# Seconds: a lock is over by then, and a restarted server is back.
_STORE_RETRY: Final = 5.0

_log = structlog.get_logger(__name__)


class AdminApi:
    """For every path under /admin/; see `serve`."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._door = Authenticator(resources.audit)
        self._viewed = recent_views()
        self._router = Router(
            [
                Route(f"/admin/api/{path}", self._endpoint(handler), methods=[method])
                for method, path, handler in _routes()
            ],
            # It would send a Location made of what the caller says our host is.
            redirect_slashes=False,
        )

    async def serve(self, scope: Scope, client: Client, key: bytes | None) -> None:
        """Answer one request; `key` is what it brought along. Raises nothing but SendStalled.

        Of the ASGI scope only the method, the raw path, the query string, the headers and the
        client are looked at.
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
        # First of all: a stranger has no body read, and is not told which paths there are.
        peer = scope.get("client")
        snapshot = self._resources.snapshot()
        admin = self._door.admit(snapshot, key, peer[0] if peer else None, path)
        await client.read_body(_BODY_BYTES, _BODY_SECONDS)
        inner = {
            "type": "http",
            "method": scope["method"],
            "path": path.rstrip("/"),
            "query_string": scope.get("query_string", b""),
            "headers": scope["headers"],
            "client": peer,
            # With one, Starlette raises what it would answer in a shape of its own.
            "app": self._router,
            "gateway.admin": admin,
        }
        ends = AsgiBridge(client)
        try:
            await cancel_on_disconnect(client, lambda: self._router(inner, ends.receive, ends.send))
        except HTTPException as exc:
            raise _translated(exc, scope["method"], path) from exc
        except StoreUnavailable as exc:
            exc.retry_after = exc.retry_after or _STORE_RETRY
            raise

    def _endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[ASGIApp]]:
        async def endpoint(request: Request) -> ASGIApp:
            admin = request.scope["gateway.admin"]
            return await handler(AdminRequest(request, self._resources, admin, self._viewed))

        return endpoint


def _routes() -> list[tuple[str, str, Handler]]:
    exports = ExportEndpoints()
    return [
        ("GET", "requests", queries.requests),
        # Callers may choose ids, and those may hold slashes.
        ("GET", "requests/{id:path}", queries.request),
        ("GET", "audit", queries.audit),
        ("GET", "usage", queries.used),
        ("GET", "costs", queries.costs),
        ("GET", "health", queries.health),
        ("GET", "stats", queries.figures),
        ("GET", "export/requests", exports.requests),
        ("GET", "export/audit", exports.audit),
        ("GET", "export/usage", exports.usage),
        ("GET", "debug/{id:path}", CaptureEndpoint().show),
        ("GET", "status", status.status),
        ("POST", "reload", status.reload),
    ]


def _translated(error: HTTPException, method: str, path: str) -> GatewayError:
    headers: Any = error.headers or {}
    if error.status_code == MethodNotAllowed.status:
        allow = ", ".join(sorted(headers["Allow"].split(", ")))
        return MethodNotAllowed(f"{path} takes {allow}, not {method}", allow=allow)
    return NotFound(f"there is nothing at {method} {path}")
