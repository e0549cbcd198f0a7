"""One request of the admin API or of its pages, on its way to the handler of its route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Scope

from ..core.admin_path import outside
from ..errors import (
    AuthenticationFailed,
    ClientGone,
    GatewayError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    PermissionDenied,
    SendStalled,
    StoreUnavailable,
)
from ..proxy.disconnect import cancel_on_disconnect
from ..proxy.protocols import Client
from . import rights
from .accounts.arrival import arrival_of
from .accounts.cookies import session_tokens
from .accounts.csrf import check_forgery
from .accounts.identity import Identity
from .accounts.redirects import to_sign_in
from .asgi_bridge import AsgiBridge
from .request import AdminRequest, recent_views
from .resources import Resources
from .rights import Right
from .route import BODY_BYTES, AdminRoute
from .routes import all_routes
from .sign_in import Authenticator

# Makes the page that shows an error to a person; the identity is None without a sign-in.
ErrorPage = Callable[[GatewayError, Identity | None], ASGIApp]

_BODY_SECONDS: Final = 10.0
# Seconds, after which a lock is over and a restarted server is back.
_STORE_RETRY: Final = 5.0
_API: Final = "/admin/api"

_log = structlog.get_logger(__name__)


class _Served(NamedTuple):
    """A route and the right that it needs."""

    pattern: Route
    route: AdminRoute
    right: Right


class AdminApi:
    """Everything under /admin/; see `serve`.

    `table` says which right each of `routes` needs; one that is not in it is a ValueError.
    """

    def __init__(
        self,
        resources: Resources,
        routes: Sequence[AdminRoute] | None = None,
        *,
        table: Mapping[tuple[str, str], Right] = rights.ROUTES,
        error_page: ErrorPage | None = None,
    ) -> None:
        self._resources = resources
        self._authenticator = Authenticator(resources.audit, resources.sign_ins)
        self._viewed = recent_views()
        self._error_page = error_page
        self._served = [
            self._serving(route, table) for route in (all_routes() if routes is None else routes)
        ]
        self._has_pages = any(each.route.is_page for each in self._served)

    async def serve(self, scope: Scope, client: Client, key: bytes | None) -> None:
        """Answer one request, which came with `key`. Raises nothing but SendStalled.

        Of the ASGI scope only the method, the scheme, the raw path, the query string, the headers
        and the client are read.
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
        snapshot = self._resources.snapshot()
        arrival = arrival_of(scope, snapshot.admin_settings.trusted_proxies)
        inner = {
            "type": "http",
            "method": scope["method"],
            "path": path.rstrip("/"),
            "query_string": scope.get("query_string", b""),
            "headers": scope["headers"],
            "client": scope.get("client"),
            "gateway.arrival": arrival,
        }
        served, allowed = self._find(inner)
        is_page = served.route.is_page if served else self._has_pages and not _in_api(path)
        identity: Identity | None = None
        try:
            # Who asks comes first: to a stranger no path is admitted to exist, and no body is read.
            right = Right.SIGNED_IN if served is None else served.right
            identity = await self._asker(right, key, inner, path)
            if identity is not None and not identity.may(right):
                raise PermissionDenied(
                    f"this needs the right {right.value!r}, which {identity} does not have"
                )
            if served is None:
                await client.read_body(BODY_BYTES, _BODY_SECONDS)
                raise _absent(scope["method"], outside(path), allowed)
            await self._handle(served, inner, identity, client)
        except GatewayError as exc:
            if isinstance(exc, StoreUnavailable):
                exc.retry_after = exc.retry_after or _STORE_RETRY
            if not is_page or client.status is not None:
                raise
            await self._show(exc, identity, inner, client)

    async def _asker(
        self, right: Right, key: bytes | None, inner: dict[str, Any], path: str
    ) -> Identity | None:
        """Return who asks; None only where no sign-in is needed. Raises AuthenticationFailed."""
        tokens = session_tokens(inner["headers"])
        if right is Right.ANYONE:
            return await self._authenticator.visitor(tokens)
        address = inner["gateway.arrival"].address
        snapshot = self._resources.snapshot()
        return await self._authenticator.identify(snapshot, key, tokens, address, path)

    async def _handle(
        self, served: _Served, inner: dict[str, Any], identity: Identity | None, client: Client
    ) -> None:
        inner["gateway.identity"] = identity
        # `matches` gives what the path has in place of `{id}`.
        inner.update(served.pattern.matches(inner)[1])
        body = await client.read_body(served.route.body_bytes, _BODY_SECONDS)
        # A sign-in is made anew even by someone who is signed in, whose token may be over.
        asking = None if served.right is Right.ANYONE else identity
        headers = Headers(scope=inner)
        check_forgery(inner["method"], headers, body, asking, inner["gateway.arrival"])
        bridge = AsgiBridge(client, body)
        await cancel_on_disconnect(
            bridge, lambda: served.pattern.handle(inner, bridge.receive, bridge.send)
        )

    async def _show(
        self, error: GatewayError, identity: Identity | None, inner: dict[str, Any], client: Client
    ) -> None:
        """Answer the request for a page with the sign-in page, or with one that shows the error."""
        # Where nobody can be known nobody is let in: the page to sign in says why and what to do.
        nobody = identity is None and isinstance(error, PermissionDenied)
        if isinstance(error, AuthenticationFailed) or (nobody and inner["method"] == "GET"):
            query = inner["query_string"].decode("latin-1")
            target = to_sign_in(inner["path"], query).encode("ascii")
            if (b"hx-request", b"true") in inner["headers"]:
                # A fragment for htmx, which would put the sign-in page in its place; told this
                # way, it leaves the page instead (htmx.org/reference, "Response Headers").
                await client.reply(401, ((b"hx-redirect", target),), b"")
                return
            if inner["method"] in ("GET", "HEAD"):
                await client.reply(303, ((b"location", target),), b"")
                return
        if self._error_page is None:
            raise error
        bridge = AsgiBridge(client)
        await self._error_page(error, identity)(inner, bridge.receive, bridge.send)

    def _find(self, scope: Scope) -> tuple[_Served | None, set[str]]:
        """Return what serves the request, else the methods that its path has."""
        allowed: set[str] = set()
        for served in self._served:
            match = served.pattern.matches(scope)[0]
            if match is Match.FULL:
                return served, set()
            if match is Match.PARTIAL:
                allowed |= served.pattern.methods or set()
        return None, allowed

    def _serving(self, route: AdminRoute, table: Mapping[tuple[str, str], Right]) -> _Served:
        right = table.get((route.method, route.path))
        if right is None:
            raise ValueError(f"{route.method} {route.path} has no right in rights.ROUTES")
        pattern = Route(route.full_path, self._endpoint(route), methods=[route.method])
        return _Served(pattern, route, right)

    def _endpoint(self, route: AdminRoute) -> Callable[[Request], Awaitable[ASGIApp]]:
        async def endpoint(http: Request) -> ASGIApp:
            scope = http.scope
            return await route.handler(
                AdminRequest(
                    http,
                    self._resources,
                    scope["gateway.identity"],
                    scope["gateway.arrival"],
                    self._viewed,
                )
            )

        return endpoint


def _in_api(path: str) -> bool:
    return path == _API or path.startswith(f"{_API}/")


def _absent(method: str, path: str, allowed: set[str]) -> GatewayError:
    if not allowed:
        return NotFound(f"there is nothing at {method} {path}")
    allow = ", ".join(sorted(allowed))
    return MethodNotAllowed(f"{path} takes {allow}, not {method}", allow=allow)
