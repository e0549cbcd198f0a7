"""Keeps deployments in step with what operators order: drained for a while, breakers reset.

Each process asks once a second, beside requests. A drain that is known goes on while the database
is away, and ends when it was to end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
import trio

from ...errors import StoreUnavailable
from ...state.health import LocalHealth
from ...store.control.deployments import DeploymentOrder, all_orders
from ...store.control.generations import DEPLOYMENTS, Transaction, current
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
        epoch: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._health = health
        self._epoch = epoch
        self._generation: int | None = None
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
        since = self._generation
        try:
            generation, orders = await self._database.read(
                lambda connection: _changes(connection, since), _TIMEOUT
            )
        except StoreUnavailable:
            # `StoredKeys`, which asks the same database, says so.
            return False
        if orders is not None:
            self._obey(orders)
        self._generation = generation
        return True

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


def _changes(
    connection: Transaction, since: int | None
) -> tuple[int, Sequence[DeploymentOrder] | None]:
    """Return the generation, and all orders if it is another one than `since`."""
    generation = current(connection).get(DEPLOYMENTS, 0)
    return generation, None if generation == since else all_orders(connection)
