"""What each key, and each team, has spent of its budget."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from ...config.callers import OF_TEAM, OF_TOKEN, Caller
from ...core.limits.budget import Budget, bounds
from ...store.queries.spent import SpentBy, name_of, spent_since

SECOND = 1_000_000
# So many budgets go to the process that makes pages; to pickle more would hold up requests.
SENT: Final = 500

# Whose a budget is: "token" or "team", and the name.
BudgetOwner = tuple[SpentBy, str]
_KINDS: Final[tuple[tuple[SpentBy, str], ...]] = (("token", OF_TOKEN), ("team", OF_TEAM))


class BudgetUse(msgspec.Struct, frozen=True):
    """`ends` is when the window is over, in microseconds; None of one that never is.

    `token` is the name of the key, or of the team if `by` says so.
    """

    token: str
    budget: Budget
    spent: int
    ends: int | None
    by: SpentBy = "token"

    @property
    def shown(self) -> str:
        """Return whose it is, in words."""
        return f"team {self.token}" if self.by == "team" else self.token

    @property
    def share(self) -> float:
        return self.spent / self.budget.nano

    @property
    def left(self) -> int:
        return max(0, self.budget.nano - self.spent)


def budgets_of(callers: Iterable[Caller]) -> dict[BudgetOwner, Budget]:
    """Return the budgets that hold for any of the callers, by whose they are."""
    found: dict[BudgetOwner, Budget] = {}
    for caller in callers:
        for scope in caller.scopes:
            if scope.budget is None:
                continue
            for by, prefix in _KINDS:
                if scope.key.startswith(prefix):
                    found[by, scope.key.removeprefix(prefix)] = scope.budget
    return found


def budget_use(
    connection: Any, budgets: Mapping[BudgetOwner, Budget], now: float
) -> list[BudgetUse]:
    """Return the use of each, the fullest first: one query for each kind of window."""
    spent: dict[tuple[SpentBy, str], dict[str, int]] = {}
    found = []
    for (by, name), budget in budgets.items():
        start, end = bounds(budget.window, now)
        if (by, budget.window) not in spent:
            first = 0 if math.isinf(start) else round(start * SECOND)
            spent[by, budget.window] = spent_since(connection, first, by)
        used = spent[by, budget.window].get(name_of(name), 0)
        ends = None if math.isinf(end) else round(end * SECOND)
        found.append(BudgetUse(name, budget, used, ends, by))
    return sorted(found, key=lambda each: (-each.share, each.token))
