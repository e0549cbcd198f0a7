"""Does what operators order: deployments drained, breakers reset, requests cancelled.

Each process asks once a second, beside requests. A drain that is known goes on while the database
is away, and ends when it was to end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import structlog
import trio

from ...errors import StoreUnavailable
from ...proxy.in_flight import InFlight
from ...state.health import LocalHealth
from ...store.control.cancellations import LASTS, asked_since
from ...store.control.deployments import DeploymentOrder, all_orders
from ...store.control.generations import CANCELLATIONS, DEPLOYMENTS, Transaction, current
from ...store.engine.database import Database

INTERVAL: Final = 1.0
_TIMEOUT: Final = 5.0

_log = structlog.get_logger(__name__)


class Orders:
    """`epoch` returns Unix seconds, which orders are in; `health` goes by Trio's."""

    def __init__(
        self,
        database: Database,
        health: LocalHealth,
        in_flight: InFlight,
        epoch: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._health = health
        self._in_flight = in_flight
        self._epoch = epoch
        self._generation: int | None = None
        # How often cancellations were asked for, and those of the last minute.
        self._asked: int | None = None
        self._cancelled: set[tuple[str, int]] = set()
        self._resets: dict[str, int] = {}
        self._drained: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Orders {len(self._drained)} drained, generation {self._generation}>"

    async def run(self) -> None:
        """Follow what is ordered, until cancelled."""
        while True:
            await self.refresh()
            await trio.sleep(INTERVAL)

    async def refresh(self) -> bool:
        """Look once, and say whether that worked. Never fails: what is known stays in force."""
        since, asked, recent = self._generation, self._asked, self._epoch() - LASTS
        try:
            found = await self._database.read(
                lambda connection: _changes(connection, since, asked, recent), _TIMEOUT
            )
        except StoreUnavailable:
            # `StoredKeys`, which asks the same database, says so.
            return False
        if found.orders is not None:
            self._obey(found.orders)
        if found.cancellations is not None:
            self._cancel(found.cancellations)
        self._generation, self._asked = found.generation, found.asked
        return True

    def _cancel(self, wanted: Sequence[tuple[str, int]]) -> None:
        if self._asked is not None:
            # What was asked for before this process began is none of its requests.
            for request_id, _ in set(wanted) - self._cancelled:
                if self._in_flight.cancel(request_id):
                    _log.info("request cancelled by an operator", request_id=request_id)
        self._cancelled = set(wanted)

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
            known = self._resets.get(each.name, 0 if self._generation is not None else each.resets)
            if each.resets > known:
                _log.info("circuit breaker reset by an operator", deployment=each.name)
                self._health.reset(each.name, now)
            self._resets[each.name] = each.resets


class _Changes(NamedTuple):
    """Generations, and what there is if they are other ones than before."""

    generation: int
    orders: Sequence[DeploymentOrder] | None
    asked: int
    cancellations: Sequence[tuple[str, int]] | None


def _changes(
    connection: Transaction, since: int | None, asked: int | None, recent: float
) -> _Changes:
    now = current(connection)
    generation, asks = now.get(DEPLOYMENTS, 0), now.get(CANCELLATIONS, 0)
    return _Changes(
        generation,
        None if generation == since else all_orders(connection),
        asks,
        None if asks == asked else asked_since(connection, recent),
    )
