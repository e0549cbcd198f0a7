"""What is spent and left of budgets, as metrics show it: of keys and of teams.

There may be a budget for each of 10^5 keys, and as many series are more than Prometheus can bear.
So those are shown of which the largest part is spent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import nlargest
from typing import Final

import trio

from ..config.callers import OF_TEAM, OF_TOKEN, Caller
from ..config.snapshot import Snapshot
from ..core.limits.ledger import Scope
from ..proxy.protocols import Limits
from ..telemetry.metrics.gauges import BudgetGauges

INTERVAL: Final = 5.0
# The part of the time that is spent on asking, where there are many budgets.
_SHARE: Final = 0.02
# So many are asked for at once, and then other tasks run: it takes a few milliseconds.
_BATCH: Final = 500
_KINDS: Final = {OF_TOKEN: "token", OF_TEAM: "team"}
_NANO: Final = 1_000_000_000


class BudgetWatch:
    """`found` are the budgets as of the last look, at most `most` of keys and as many of teams."""

    def __init__(self, limits: Limits, snapshot: Callable[[], Snapshot], most: int) -> None:
        self.found: tuple[BudgetGauges, ...] = ()
        self._limits = limits
        self._snapshot = snapshot
        self._most = most
        self._callers: Mapping[bytes, Caller] = {}
        self._scopes: tuple[Scope, ...] = ()

    def __repr__(self) -> str:
        return f"<BudgetWatch {len(self.found)} of {len(self._scopes)} budgets>"

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            began = trio.current_time()
            await self.refresh()
            await trio.sleep(max(INTERVAL, (trio.current_time() - began) / _SHARE))

    async def refresh(self) -> None:
        """Look once."""
        callers = self._snapshot().callers
        if callers is not self._callers:
            self._scopes = await trio.to_thread.run_sync(
                _with_budget, callers, abandon_on_cancel=True
            )
            self._callers = callers
        found: dict[str, list[BudgetGauges]] = {"token": [], "team": []}
        for start in range(0, len(self._scopes), _BATCH):
            batch = self._scopes[start : start + _BATCH]
            for scope, status in zip(
                batch, await self._limits.status(batch, exact=True), strict=True
            ):
                level, budget = status.budget, scope.budget
                if level is None or budget is None:
                    continue
                kind, name = _owner(scope)
                shown = BudgetGauges(
                    kind,
                    name,
                    budget.window,
                    level.limit / _NANO,
                    level.spent / _NANO,
                    level.left / _NANO,
                )
                found[kind].append(shown)
            await trio.lowlevel.checkpoint()
        self.found = tuple(
            each for of in found.values() for each in nlargest(self._most, of, _spent_part)
        )


def _with_budget(callers: Mapping[bytes, Caller]) -> tuple[Scope, ...]:
    """Return each scope with a budget once; those of a team are the same for all its keys."""
    found = {
        scope.key: scope
        for caller in callers.values()
        for scope in caller.scopes
        if scope.budget is not None and scope.key.startswith((OF_TOKEN, OF_TEAM))
    }
    return tuple(found.values())


def _owner(scope: Scope) -> tuple[str, str]:
    prefix = OF_TEAM if scope.key.startswith(OF_TEAM) else OF_TOKEN
    return _KINDS[prefix], scope.key.removeprefix(prefix)


def _spent_part(budget: BudgetGauges) -> float:
    return budget.spent / budget.limit if budget.limit else 1.0
