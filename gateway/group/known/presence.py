"""Who this process is among all of its gateway, and whether an operator has taken it out."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import structlog
import trio

from ...core.processes import BEAT_EVERY, ProcessDrain, drain_of
from ...lifecycle import Lifecycle

# In the environment: what this host is called, where several would have the same name.
HOST: Final = "GATEWAY_HOST"

_log = structlog.get_logger(__name__)


class ProcessPresence:
    """`limits` says how limits are counted, `leads` which jobs this process does for all.

    `epoch` returns Unix seconds, `used` the seconds of a processor that the process has had.

    A process that is drained itself, and not with its host, leaves new connections to `others`
    behind the same sockets, if these say that there is one in service.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        *,
        limits: Callable[[], str] = lambda: "own",
        leads: Callable[[], Iterable[str]] = tuple,
        environ: Mapping[str, str] = os.environ,
        epoch: Callable[[], float] = time.time,
        used: Callable[[], float] = time.process_time,
    ) -> None:
        self.id: Final = secrets.token_hex(8)
        self.host: Final = environ.get(HOST) or socket.gethostname()
        self.pid: Final = os.getpid()
        self.started: Final = epoch()
        self.limits = limits
        self.leads = leads
        # The part of one processor that it had of late.
        self.load = 0.0
        self.others: Callable[[], Awaitable[bool]] | None = None
        self._alone = False
        self._changed = trio.Event()
        self.drain: ProcessDrain | None = None
        self._drains: tuple[ProcessDrain, ...] = ()
        self._lifecycle = lifecycle
        self._epoch = epoch
        self._used = used

    def __repr__(self) -> str:
        return f"<ProcessPresence of {self.id} on {self.host}{', drained' if self.drain else ''}>"

    def obey(self, drains: Iterable[ProcessDrain]) -> None:
        """Follow all `drains` that there are now: those of others mean nothing to this process."""
        self._drains = tuple(drains)
        self._apply()

    def add(self, drain: ProcessDrain | None, target: str) -> None:
        """Follow one more, or none for this `target`: where nobody keeps them all."""
        others = tuple(each for each in self._drains if each.target != target)
        self.obey(others if drain is None else (*others, drain))

    @property
    def drains(self) -> tuple[ProcessDrain, ...]:
        return self._drains

    async def run(self) -> None:
        """Let drains end when they are over, and measure the load, until cancelled."""
        used, since = self._used(), trio.current_time()
        while True:
            self._changed = trio.Event()
            with trio.move_on_after(BEAT_EVERY) as waiting:
                await self._changed.wait()
            if not waiting.cancelled_caught:
                await self._look()
                continue
            self._apply()
            await self._look()
            now, by_now = trio.current_time(), self._used()
            self.load = round((by_now - used) / (now - since), 3)
            used, since = by_now, now

    async def _look(self) -> None:
        """Leave new connections to the others, unless nobody else takes them."""
        if self.others is None or not self._alone_drained:
            return
        serve = await self.others()
        if self._lifecycle.paused and not serve:
            _log.warning("drained, and accepts all the same: no other process of the host does")
        # The drain may have ended meanwhile.
        self._lifecycle.paused = serve and self._alone_drained

    @property
    def _alone_drained(self) -> bool:
        """Say whether this process is drained, and its host is not."""
        return self.drain is not None and (
            drain_of(self._drains, self.host, None, self._epoch()) is None
        )

    def _apply(self) -> None:
        drain = drain_of(self._drains, self.host, self.id, self._epoch())
        if drain is not None and self.drain is None:
            _log.warning(
                "drained by an operator: not ready for new requests, those under way go on",
                by=drain.by,
                reason=drain.reason,
            )
        elif drain is None and self.drain is not None:
            _log.info("in service again")
        self.drain = drain
        alone = self.others is not None and self._alone_drained
        if alone != self._alone:
            self._alone = alone
            # Until the others have been asked: what comes meanwhile waits for a moment.
            self._lifecycle.paused = alone
            self._changed.set()
        self._lifecycle.drained = drain is not None
