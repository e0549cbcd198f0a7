"""The admin API and the dashboard, put together at the first request for them.

Starlette, Jinja and SQLAlchemy take a tenth of a second each to import. A gateway that only serves
models need never spend it, and no gateway spends it on the event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from urllib.parse import quote, unquote_to_bytes

import msgspec
import structlog
import trio

from ...config.reload_status import ReloadOutcome, ReloadStatus
from ...config.schema import Config
from ...config.snapshot import Snapshot
from ...core import admin_path
from ...errors import ClientGone, InternalError
from ...group.exports import ProcessExports
from ...group.known.presence import ProcessPresence
from ...group.sisters import Sisters
from ...lifecycle import Lifecycle
from ...proxy.protocols import Client
from ...proxy.services import Services
from ..recording import Recording
from .oidc_http import ProviderHttp

if TYPE_CHECKING:
    from ...admin.application import AdminApi
    from ...dashboard.application import Dashboard
    from ...dashboard.page_process.maker import PageProcess
    from ...state.redis.process_roll import ProcessRoll

_API: Final = b"/admin/api/"

_log = structlog.get_logger(__name__)


def _within(scope: MutableMapping[str, Any], root: str) -> MutableMapping[str, Any]:
    """Return the scope of the same request with the path that it has in the code."""
    if root == admin_path.HERE:
        return scope
    asked = unquote_to_bytes(scope["raw_path"]).decode("utf-8", "replace")
    found = admin_path.inside(asked, root)
    return {**scope, "raw_path": quote(found or "/", safe="/").encode("ascii")}


class ConfiguredControl(Protocol):
    """What the admin API and its pages need of the application."""

    @property
    def config(self) -> Config: ...

    @property
    def reload_status(self) -> ReloadStatus: ...

    async def reload_everywhere(self, cause: str) -> ReloadOutcome: ...


class AdminParts(NamedTuple):
    """What serves the paths under /admin/."""

    api: AdminApi
    dashboard: Dashboard


class LazyAdminApi:
    """Serves every path under /admin/, the dashboard if the configuration says so.

    `snapshot` returns the one in use now.
    """

    def __init__(
        self,
        control: ConfiguredControl,
        services: Services,
        lifecycle: Lifecycle,
        recording: Recording,
        snapshot: Callable[[], Snapshot],
        oidc_http: ProviderHttp | None = None,
        look: Callable[[], Awaitable[None]] | None = None,
        sisters: Sisters | None = None,
        exports: ProcessExports | None = None,
        presence: ProcessPresence | None = None,
        roll: ProcessRoll | None = None,
    ) -> None:
        self._presence = presence
        self._roll = roll
        self._exports = exports or ProcessExports()
        self._sisters = sisters
        self._oidc_http = oidc_http
        self._look = look
        self._control = control
        self._services = services
        self._lifecycle = lifecycle
        self._recording = recording
        self._snapshot = snapshot
        self._since = trio.current_time()
        self._parts: AdminParts | None = None
        self._making = trio.Lock()
        # Set when there is somebody who looks.
        self._made_once = trio.Event()
        self._page_process: PageProcess | None = None

    def __repr__(self) -> str:
        return f"<LazyAdminApi {'in use' if self._parts else 'not asked for yet'}>"

    async def serve(
        self, scope: MutableMapping[str, Any], client: Client, key: bytes | None
    ) -> None:
        """Answer one request, which came with `key`. Raises nothing but SendStalled."""
        parts = await self._made()
        if parts is not None:
            settings = self._snapshot().admin_settings
            scope = _within(scope, settings.path)
            admin_path.current.set(settings.path)
            is_page = not scope["raw_path"].startswith(_API)
            if is_page and settings.dashboard:
                await parts.dashboard.serve(scope, client, key)
            else:
                await parts.api.serve(scope, client, key)
            return
        try:
            await client.refuse(InternalError("the gateway made a mistake; its log has more"))
        except ClientGone:
            return

    async def run(self) -> None:
        """Have a process for pages while people look at them."""
        await self._made_once.wait()
        if self._page_process is not None:
            await self._page_process.run()

    async def _made(self) -> AdminParts | None:
        async with self._making:
            if self._parts is None:
                try:
                    self._parts = await trio.to_thread.run_sync(self._make, abandon_on_cancel=True)
                    self._made_once.set()
                except Exception:  # noqa: BLE001  # logged; the next request tries again
                    _log.exception("the admin API cannot be made")
            return self._parts

    def _make(self) -> AdminParts:
        from ...admin.application import AdminApi
        from ...admin.resources import Resources
        from ...dashboard.application import Dashboard
        from ...dashboard.assets import read_assets
        from ...dashboard.page_process.maker import PageProcess
        from ...dashboard.page_process.task import MakerSettings

        recording = self._recording
        writer = recording.writer
        resources = Resources(
            control=self._control,
            services=self._services,
            lifecycle=self._lifecycle,
            since=self._since,
            snapshot=self._snapshot,
            audit=recording.audit,
            database=recording.database,
            captures=recording.debug_folder,
            oidc_http=self._oidc_http,
            look=self._look,
            sisters=self._sisters,
            exports=self._exports,
            presence=self._presence,
            roll=self._roll,
            debug_log=recording.debug_log,
            store=None if writer is None else lambda: msgspec.to_builtins(writer.status),
        )
        if self._control.config.admin.page_process:
            database = recording.database
            self._page_process = PageProcess(
                MakerSettings(None, "")
                if database is None
                else MakerSettings(database.url, str(database.base.absolute()))
            )
        dashboard = Dashboard(
            resources, read_assets(), lambda: self._control.config, self._page_process
        )
        return AdminParts(AdminApi(resources), dashboard)
