"""What administrators reach in one process, and what it tells the others of its gateway."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import msgspec
import structlog
import trio

from ...api.admin_app import AdminApp
from ...background import persist
from ...config.schema import Config
from ...config.snapshot import Snapshot
from ...group.exports import ProcessExports
from ...group.folder import membership
from ...group.listener import Listener
from ...group.respondent import Respondent
from ...group.sisters import Sisters
from ...lifecycle import Lifecycle
from ...serve.beside.side_listener import SideListener
from ...serve.crew.member import WORKER
from ...serve.open_connections import PolicySource
from ...serve.sockets import ListenError, describe, listen
from ..components import Components
from ..memory import WORKERS
from ..recording import Recording
from .lazy_api import ConfiguredControl, LazyAdminApi
from .oidc_http import ProviderHttp

# Seconds between two tries to listen.
_AGAIN: Final = 5.0

_log = structlog.get_logger(__name__)


class Administration:
    """`api` answers what administrators ask; `start` begins what runs beside it.

    `sockets` listen at the own address of the admin API, if it has one and they are open already.
    """

    def __init__(
        self,
        control: ConfiguredControl,
        parts: Components,
        lifecycle: Lifecycle,
        recording: Recording,
        snapshot: Callable[[], Snapshot],
        policy: PolicySource,
        look: Callable[[], Awaitable[None]],
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        self._lifecycle = lifecycle
        self._policy = policy
        self._sockets = sockets
        self._side: SideListener | None = None
        self._membership = membership(os.environ, WORKER, WORKERS)
        self._recording = recording
        writer = recording.writer
        exports = ProcessExports()
        self._respondent = Respondent(
            parts.services,
            lifecycle,
            trio.current_time(),
            lambda: control.reload_status,
            worker=None if self._membership is None else self._membership.number,
            store=None if writer is None else lambda: msgspec.to_builtins(writer.status),
            debug_log=recording.debug_log,
            exports=exports,
            presence=parts.presence,
        )
        sisters = None if self._membership is None else Sisters(self._membership)
        if sisters is not None and sisters.count > 1:
            parts.presence.others = sisters.in_service
        self.api = LazyAdminApi(
            control,
            parts.services,
            lifecycle,
            recording,
            snapshot,
            ProviderHttp(parts.http_client),
            look,
            sisters,
            exports,
            parts.presence,
            parts.roll,
        )

    def __repr__(self) -> str:
        return f"<Administration {self._membership}>"

    def start(self, config: Config, nursery: trio.Nursery) -> None:
        """Begin what runs for as long as the process does, in `nursery`."""
        if not config.admin.enabled:
            return
        if config.admin.bind:
            nursery.start_soon(persist, partial(self._listen, config))
        if self._membership is not None:
            listener = Listener(self._membership.own, self._respondent)
            nursery.start_soon(persist, listener.run)
        if config.admin.dashboard and config.admin.page_process:
            nursery.start_soon(persist, self.api.run)
        self._offer_setup(config, nursery)

    async def finish(self) -> None:
        """Let requests at the own address end, if there is one."""
        if self._side is not None:
            await self._side.finish()

    async def _listen(self, config: Config) -> None:
        """Serve at the own address."""
        if self._side is None:
            app = AdminApp(self._lifecycle, lambda: self.api, config.admin.path)
            sockets = self._sockets or await _opened(config)
            self._side = SideListener(app, sockets, self._policy, self._lifecycle)
        await self._side.run()

    def _offer_setup(self, config: Config, nursery: trio.Nursery) -> None:
        """Let people make the first user, if there is none; one worker says so for all."""
        database, opened = self._recording.database, self._recording.opened
        wanted = config.admin.dashboard and os.environ.get(WORKER, "0") == "0"
        if database is None or opened is None or not wanted:
            return
        from .first_run import offer_setup

        # A port that was left to the system is known by its socket.
        own = describe(self._sockets[0]) if self._sockets else config.admin.bind
        bind = own or config.server.bind
        secure = not own and config.server.tls is not None
        offer = partial(offer_setup, database, opened, bind, path=config.admin.path, secure=secure)
        nursery.start_soon(persist, offer)


def public_path(config: Config) -> str | None:
    """Return below which path the admin API is where models are served; None if it is not there."""
    admin = config.admin
    return admin.path if admin.enabled and not admin.bind else None


async def _opened(config: Config) -> list[socket.socket]:
    """Listen at the own address, as soon as it is free.

    Under Hypercorn's own command line nothing has opened it before. Of several workers one has it,
    and another once that one has ended.
    """
    address, said = config.admin.bind, False
    while True:
        try:
            return listen([address], send_timeout=config.server.send_timeout)
        except ListenError as exc:
            if not said:
                said = True
                _log.warning("the admin API is not at its address yet", error=str(exc))
        await trio.sleep(_AGAIN)
