"""What is spent and left of budgets: of keys and of teams."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..config.callers import OF_TEAM, OF_TOKEN
from ..core.limits.budget import BudgetLevel, Window, begin, bounds
from ..core.limits.ledger import Scope, ScopeLimits
from ..store.control.generations import Transaction
from ..store.queries.spent import SpentBy, name_of, spent_since
from .key_view import BudgetState, KeyView
from .team_view import TeamState


def state_of(level: BudgetLevel | None) -> BudgetState | None:
    if level is None:
        return None
    reset = None if level.reset is None else round(level.reset, 3)
    return BudgetState(level.limit, level.spent, level.reserved, level.left, reset)


def scope_of(of: KeyView | TeamState) -> Scope:
    """Return the account that the budget of a key or a team is kept in."""
    kind = OF_TEAM if isinstance(of, TeamState) else OF_TOKEN
    return Scope(f"{kind}{of.name}", ScopeLimits(), of.budget)


def on_record(
    connection: Transaction, found: Sequence[KeyView] | Sequence[TeamState], now: float
) -> list[BudgetState | None]:
    """Return what is on record as spent of each budget; what is under way is not in it."""
    spent: dict[tuple[SpentBy, Window], dict[str, int]] = {}
    states: list[BudgetState | None] = []
    for each in found:
        if each.budget is None:
            states.append(None)
            continue
        by: SpentBy = "team" if isinstance(each, TeamState) else "token"
        window = each.budget.window
        if (by, window) not in spent:
            starts, _ = bounds(window, now)
            since = 0 if starts == -math.inf else round(starts * 1_000_000)
            spent[by, window] = spent_since(connection, since, by)
        spending = begin(each.budget, now)
        spending.spent = spent[by, window].get(name_of(each.name), 0)
        states.append(state_of(spending.level(now)))
    return states
