"""The ASGI application of the admin API's own address: nothing else is served there."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from ..core import log_context
from ..core.admin_path import is_below
from ..errors import GatewayError, NotFound, SendStalled, ShuttingDown
from ..lifecycle import Lifecycle
from . import routes
from .asgi_app import Scope
from .client import AsgiClient
from .endpoints import AdminEndpoint
from .request import api_key, content_length, has_body, headers_of, request_id
from .requests.served_request import Receive, Send
from .spoken_dialect import DEFAULT_DIALECT

_log = structlog.get_logger(__name__)


class AdminApp:
    """`administration` returns what answers, None before it is there; `path` is where that is."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        administration: Callable[[], AdminEndpoint | None],
        path: str,
    ) -> None:
        self._lifecycle = lifecycle
        self._administration = administration
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        identity = request_id(headers, b"")
        log_context.request_id.set(identity.decode("ascii"))
        path = routes.decoded(scope["raw_path"])
        client = AsgiClient(
            receive,
            send,
            identity,
            self._lifecycle,
            DEFAULT_DIALECT,
            has_body=has_body(headers),
            content_length=content_length(headers),
        )
        try:
            try:
                await self._serve(scope, client, path, headers)
            except GatewayError as exc:
                await client.refuse(exc)
        except SendStalled:
            _log.info("client stalled", request_id=identity.decode("ascii"))

    async def _serve(
        self, scope: Scope, client: AsgiClient, path: str, headers: dict[bytes, bytes]
    ) -> None:
        administration = self._administration()
        if administration is None:
            raise ShuttingDown("the gateway is not running", retry_after=1)
        if is_below(path, self._path):
            await administration.serve(scope, client, api_key(headers))
        elif path == "/" and scope["method"] in ("GET", "HEAD"):
            await client.reply(303, [(b"location", self._path.encode("ascii") + b"/")], b"")
        else:
            raise NotFound(
                f"there is nothing at {scope['method']} {path}; the dashboard is at {self._path}/,"
                f" the admin API at {self._path}/api/, and models are served at another address"
            )
