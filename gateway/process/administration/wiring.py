"""What administrators reach in one process, and what it tells the others of its gateway."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import msgspec
import trio

from ...background import persist
from ...config.schema import Config
from ...config.snapshot import Snapshot
from ...group.folder import membership
from ...group.listener import Listener
from ...group.respondent import Respondent
from ...group.sisters import Sisters
from ...lifecycle import Lifecycle
from ...serve.supervisor import WORKER
from ..components import Components
from ..memory import WORKERS
from ..recording import Recording
from .lazy_api import ConfiguredControl, LazyAdminApi
from .oidc_http import ProviderHttp


class Administration:
    """`api` answers what administrators ask; `start` begins what runs beside it."""

    def __init__(
        self,
        control: ConfiguredControl,
        parts: Components,
        lifecycle: Lifecycle,
        recording: Recording,
        snapshot: Callable[[], Snapshot],
    ) -> None:
        self._membership = membership(os.environ, WORKER, WORKERS)
        self._recording = recording
        writer = recording.writer
        self._respondent = Respondent(
            parts.services,
            lifecycle,
            trio.current_time(),
            lambda: control.reload_status,
            worker=None if self._membership is None else self._membership.number,
            store=None if writer is None else lambda: msgspec.to_builtins(writer.status),
            debug_log=recording.debug_log,
        )
        self.api = LazyAdminApi(
            control,
            parts.services,
            lifecycle,
            recording,
            snapshot,
            ProviderHttp(parts.http_client),
            None if self._membership is None else Sisters(self._membership),
        )

    def __repr__(self) -> str:
        return f"<Administration {self._membership}>"

    def start(self, config: Config, nursery: trio.Nursery) -> None:
        """Begin what runs for as long as the process does, in `nursery`."""
        if self._membership is not None:
            listener = Listener(self._membership.own, self._respondent)
            nursery.start_soon(persist, listener.run)
        self._offer_setup(config, nursery)

    def _offer_setup(self, config: Config, nursery: trio.Nursery) -> None:
        """Let people make the first user, if there is none; one worker says so for all."""
        database, opened = self._recording.database, self._recording.opened
        wanted = config.admin.dashboard and os.environ.get(WORKER, "0") == "0"
        if database is None or opened is None or not wanted:
            return
        from .first_run import offer_setup

        offer = partial(offer_setup, database, opened, config.server.bind)
        nursery.start_soon(persist, offer)
