"""Does what operators order: drains, resets of breakers, cancellations, captures of keys, grants.

Each process asks once a second, beside requests. What is known goes on while the database is away,
and ends when it was to end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import structlog
import trio

from ...core.processes import ProcessDrain
from ...errors import StoreUnavailable
from ...proxy.capture import CaptureLog
from ...proxy.in_flight import InFlight
from ...state.health import LocalHealth
from ...store.control.cancellations import LASTS, asked_since
from ...store.control.capture_windows import CaptureWindow, open_windows
from ...store.control.deployments import DeploymentOrder, all_orders
from ...store.control.generations import (
    CANCELLATIONS,
    CAPTURE_WINDOWS,
    DEPLOYMENTS,
    GRANTS,
    PROCESS_DRAINS,
    RELOADS,
    Transaction,
    current,
)
from ...store.control.grants import KeyGrant, valid_grants
from ...store.control.process_drains import drains
from ...store.engine.database import Database

# So that what is ordered is done everywhere within a second, with what a look takes.
INTERVAL: Final = 0.8
_TIMEOUT: Final = 5.0

_log = structlog.get_logger(__name__)


class _Kind(NamedTuple):
    """Orders that are read whole when one of them has changed, and what is done then."""

    read: Callable[[Transaction, float], Any]
    obey: Callable[[Any], None]


class Orders:
    """`epoch` returns Unix seconds, which orders are in; `health` and `captures` go by Trio's.

    `grant` is called with the grants that are valid, `drain` with the drains of processes and hosts
    that are not over, and `reload` when the processes of all hosts are to reload.
    """

    def __init__(
        self,
        database: Database,
        health: LocalHealth,
        in_flight: InFlight,
        epoch: Callable[[], float] = time.time,
        captures: CaptureLog | None = None,
        grant: Callable[[Sequence[KeyGrant]], None] | None = None,
        drain: Callable[[Sequence[ProcessDrain]], None] | None = None,
        reload: Callable[[], None] | None = None,
    ) -> None:
        self._database = database
        self._health = health
        self._in_flight = in_flight
        self._epoch = epoch
        self._captures = captures
        # By name, the generations of what has been read.
        self._known: dict[str, int] = {}
        self._hurried = trio.Event()
        self._kinds: dict[str, _Kind] = {
            DEPLOYMENTS: _Kind(lambda connection, _: all_orders(connection), self._obey),
            CANCELLATIONS: _Kind(
                lambda connection, epoch: asked_since(connection, epoch - LASTS), self._cancel
            ),
        }
        if captures is not None:
            self._kinds[CAPTURE_WINDOWS] = _Kind(open_windows, self._capture)
        if grant is not None:
            self._kinds[GRANTS] = _Kind(valid_grants, grant)
        if drain is not None:
            self._kinds[PROCESS_DRAINS] = _Kind(drains, drain)
        if reload is not None:
            self._reload = reload
            self._kinds[RELOADS] = _Kind(lambda _connection, _epoch: None, self._obey_reload)
        # Cancellations of the last minute.
        self._cancelled: set[tuple[str, int]] = set()
        self._resets: dict[str, int] = {}
        self._drained: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Orders {len(self._drained)} drained, generations {self._known}>"

    async def run(self) -> None:
        """Follow what is ordered, until cancelled."""
        while True:
            self._hurried = trio.Event()
            await self.refresh()
            with trio.move_on_after(INTERVAL):
                await self._hurried.wait()

    def hurry(self) -> None:
        """Look now, not only when it is time."""
        self._hurried.set()

    async def refresh(self) -> bool:
        """Look once, and say whether that worked. Never fails: what is known stays in force."""
        since, epoch = dict(self._known), self._epoch()
        try:
            found = await self._database.read(
                lambda connection: _changes(connection, self._kinds, since, epoch), _TIMEOUT
            )
        except StoreUnavailable:
            # `StoredKeys`, which asks the same database, says so.
            return False
        for name, generation, orders in found:
            if self._known.get(name) == since.get(name):
                # Else another look, which began later or was quicker, has obeyed it.
                self._kinds[name].obey(orders)
                self._known[name] = generation
        return True

    def _cancel(self, wanted: Sequence[tuple[str, int]]) -> None:
        if CANCELLATIONS in self._known:
            # What was asked for before this process began is none of its requests.
            for request_id, _ in set(wanted) - self._cancelled:
                if self._in_flight.cancel(request_id):
                    _log.info("request cancelled by an operator", request_id=request_id)
        self._cancelled = set(wanted)

    def _obey_reload(self, _: None) -> None:
        # What was ordered before this process began has read its configuration since.
        if RELOADS in self._known:
            self._reload()

    def _capture(self, windows: Sequence[CaptureWindow]) -> None:
        assert self._captures is not None
        now, epoch = trio.current_time(), self._epoch()
        opened = {each.token: now + each.until - epoch for each in windows}
        for name in opened.keys() - self._captures.windows.keys():
            _log.warning("requests of a key are captured for a while", token=name)
        self._captures.windows = opened

    def _obey(self, orders: Sequence[DeploymentOrder]) -> None:
        now, epoch = trio.current_time(), self._epoch()
        drained = {
            each.name: now + each.drained_until - epoch
            for each in orders
            if each.drained_until is not None and each.drained_until > epoch
        }
        for name in drained.keys() - self._drained.keys():
            _log.warning("deployment drained by an operator", deployment=name)
        for name in self._drained.keys() - drained.keys():
            _log.info("deployment is in use again", deployment=name)
        self._health.drain(drained)
        self._drained = drained
        for each in orders:
            # What was reset before this process began was not its breaker.
            known = self._resets.get(each.name, 0 if DEPLOYMENTS in self._known else each.resets)
            if each.resets > known:
                _log.info("circuit breaker reset by an operator", deployment=each.name)
                self._health.reset(each.name, now)
            self._resets[each.name] = each.resets


def _changes(
    connection: Transaction, kinds: Mapping[str, _Kind], since: Mapping[str, int], epoch: float
) -> list[tuple[str, int, Any]]:
    """Return what has changed: its name, its generation, and what there is now."""
    now = current(connection)
    return [
        (name, now.get(name, 0), kind.read(connection, epoch))
        for name, kind in kinds.items()
        if now.get(name, 0) != since.get(name)
    ]
