"""What each key has spent of its budget."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from ...config.callers import Caller
from ...core.limits.budget import Budget, bounds
from ...store.queries.spent import name_of, spent_since

SECOND = 1_000_000


class BudgetUse(msgspec.Struct, frozen=True):
    """`ends` is when the window is over, in microseconds; None of one that never is."""

    token: str
    budget: Budget
    spent: int
    ends: int | None

    @property
    def share(self) -> float:
        return self.spent / self.budget.nano

    @property
    def left(self) -> int:
        return max(0, self.budget.nano - self.spent)


def budgets_of(callers: Iterable[Caller]) -> dict[str, Budget]:
    """Return the budgets by the names of their keys."""
    return {
        caller.name: scope.budget
        for caller in callers
        for scope in caller.scopes[:1]
        if scope.budget is not None
    }


def budget_use(connection: Any, budgets: dict[str, Budget], now: float) -> list[BudgetUse]:
    """Return the use of each, the fullest first: one query for each kind of window."""
    spent: dict[str, dict[str, int]] = {}
    found = []
    for token, budget in budgets.items():
        start, end = bounds(budget.window, now)
        if budget.window not in spent:
            first = 0 if math.isinf(start) else round(start * SECOND)
            spent[budget.window] = spent_since(connection, first)
        used = spent[budget.window].get(name_of(token), 0)
        ends = None if math.isinf(end) else round(end * SECOND)
        found.append(BudgetUse(token, budget, used, ends))
    return sorted(found, key=lambda each: (-each.share, each.token))
