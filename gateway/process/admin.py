"""The admin API, put together at the first request for it.

Starlette and SQLAlchemy take a tenth of a second each to import. A gateway that only serves
models need never spend it, and no gateway spends it on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
import trio

from ..config.snapshot import Snapshot
from ..errors import ClientGone, InternalError
from ..lifecycle import Lifecycle
from ..proxy.protocols import Client
from ..proxy.services import Services
from .oidc_http import ProviderHttp
from .recording import Recording

if TYPE_CHECKING:
    from ..admin.application import AdminApi
    from ..admin.resources import Control

_log = structlog.get_logger(__name__)


class LazyAdminApi:
    """Serves every path under /admin/. `snapshot` returns the one in use now."""

    def __init__(
        self,
        control: Control,
        services: Services,
        lifecycle: Lifecycle,
        recording: Recording,
        snapshot: Callable[[], Snapshot],
        oidc_http: ProviderHttp | None = None,
    ) -> None:
        self._oidc_http = oidc_http
        self._control = control
        self._services = services
        self._lifecycle = lifecycle
        self._recording = recording
        self._snapshot = snapshot
        self._since = trio.current_time()
        self._api: AdminApi | None = None
        self._making = trio.Lock()

    def __repr__(self) -> str:
        return f"<LazyAdminApi {'in use' if self._api else 'not asked for yet'}>"

    async def serve(
        self, scope: MutableMapping[str, Any], client: Client, key: bytes | None
    ) -> None:
        """Answer one request, which came with `key`. Raises nothing but SendStalled."""
        api = await self._made()
        if api is not None:
            await api.serve(scope, client, key)
            return
        try:
            await client.refuse(InternalError("the gateway made a mistake; its log has more"))
        except ClientGone:
            return

    async def _made(self) -> AdminApi | None:
        async with self._making:
            if self._api is None:
                try:
                    self._api = await trio.to_thread.run_sync(self._make, abandon_on_cancel=True)
                except Exception:  # noqa: BLE001  # logged; the next request tries again
                    _log.exception("the admin API cannot be made")
            return self._api

    def _make(self) -> AdminApi:
        from ..admin.application import AdminApi
        from ..admin.resources import Resources

        recording = self._recording
        writer = recording.writer
        return AdminApi(
            Resources(
                control=self._control,
                services=self._services,
                lifecycle=self._lifecycle,
                since=self._since,
                snapshot=self._snapshot,
                audit=recording.audit,
                database=recording.database,
                captures=recording.debug_folder,
                oidc_http=self._oidc_http,
                debug_log=recording.debug_log,
                store=None if writer is None else lambda: msgspec.to_builtins(writer.status),
            )
        )
