"""The pages of the admin API: its routes, with what a browser needs around each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..admin.accounts.arrival import arrival_of
from ..admin.accounts.identity import Identity
from ..admin.application import AdminApi
from ..admin.request import AdminRequest, recent_views
from ..admin.resources import Resources
from ..admin.route import AdminRoute
from ..config.schema import Config
from ..errors import GatewayError
from ..proxy.protocols import Client, HeaderPairs
from .assets import PREFIX, Assets
from .page_process.maker import PageProcess
from .page_request import PageRequest, Site
from .rendering import Templates
from .routes import RIGHTS, ROUTES, PageHandler

# Nothing but our own files may run or be shown, and no other site may hold our pages in a frame
# or reach their windows. Styles are set by uPlot and by our script through the CSSOM, which a
# policy without 'unsafe-inline' allows (CSP 3, section 6.1).
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self';"
    b" connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
SECURITY: Final[HeaderPairs] = (
    (b"content-security-policy", _POLICY),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_FOR_GOOD: Final = b"public, max-age=31536000, immutable"


class Dashboard:
    """Everything under /admin/ but the API; see `serve`.

    `assets` are the files of its pages, and `config` returns the configuration in use. Pages are
    made in `page_process`, without one in threads. Who asks, with which rights, and whether another
    site has made the request, is found out as for the API.
    """

    def __init__(
        self,
        resources: Resources,
        assets: Assets,
        config: Callable[[], Config],
        page_process: PageProcess | None = None,
    ) -> None:
        self._assets = assets
        self._site = Site(resources, Templates(assets), config, page_process)
        self._pages = AdminApi(
            resources,
            [
                AdminRoute(each.method, each.path, self._page(each.handler), each.body_bytes)
                for each in ROUTES
            ],
            table=RIGHTS,
            error_page=self._error_page,
        )

    async def serve(self, scope: Scope, client: Client, key: bytes | None) -> None:
        """Answer one request. Raises nothing but SendStalled."""
        path = scope["raw_path"].decode("ascii", "replace")
        if path.startswith(PREFIX):
            await self._send_file(scope, client, path.removeprefix(PREFIX))
        else:
            await self._pages.serve(scope, client, key)

    def _page(self, handler: PageHandler) -> Callable[[AdminRequest], Awaitable[ASGIApp]]:
        async def page(request: AdminRequest) -> ASGIApp:
            return _guarded(await handler(PageRequest(self._site, request)))

        return page

    def _error_page(self, error: GatewayError, identity: Identity | None) -> ASGIApp:
        """Return the page that says what went wrong, and what to do."""

        async def page(scope: Scope, receive: Receive, send: Send) -> None:
            resources = self._site.resources
            trusted = resources.snapshot().admin_settings.trusted_proxies
            http = Request(dict(scope), receive)
            arrival = arrival_of(scope, trusted)
            admin = AdminRequest(http, resources, identity, arrival, recent_views())
            answer = await PageRequest(self._site, admin).page(
                "error.html",
                status=error.status,
                error=error,
                message=f"{error.message[:1].upper()}{error.message[1:]}",
                active="",
            )
            if error.retry_after is not None:
                answer.headers["retry-after"] = str(max(1, round(error.retry_after)))
            await answer(scope, receive, send)

        return _guarded(page)

    async def _send_file(self, scope: Scope, client: Client, path: str) -> None:
        found = self._assets.find(path)
        if found is None or scope["method"] not in ("GET", "HEAD"):
            headers = (*SECURITY, _NOSNIFF, (b"content-type", b"text/plain"))
            await client.reply(404, headers, b"not found\n")
            return
        given = Headers(raw=list(scope["headers"]))
        known: list[tuple[bytes, bytes]] = [
            *(*SECURITY, _NOSNIFF),
            (b"content-type", found.media_type.encode("ascii")),
            (b"cache-control", _FOR_GOOD),
            (b"etag", found.etag.encode("ascii")),
            (b"vary", b"Accept-Encoding"),
        ]
        if found.etag in given.get("if-none-match", ""):
            await client.begin(304, known)
            await client.finish(b"")
            return
        body = found.body
        if found.gzipped is not None and "gzip" in given.get("accept-encoding", ""):
            body = found.gzipped
            known.append((b"content-encoding", b"gzip"))
        if scope["method"] == "HEAD":
            await client.begin(200, [*known, (b"content-length", b"%d" % len(body))])
            await client.finish(b"")
            return
        await client.reply(200, known, body)


def _guarded(app: ASGIApp) -> ASGIApp:
    """Add to an answer what keeps its page from being abused."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *SECURITY]}
            await send(message)

        await app(scope, receive, sending)

    return guarded
