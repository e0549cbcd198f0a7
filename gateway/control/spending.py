"""What is spent and left of budgets: of keys and of teams."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from ..config.callers import OF_TEAM, OF_TOKEN
from ..config.keys.tables import Team
from ..core.limits.budget import Budget, BudgetLevel, Window, begin, bounds
from ..core.limits.ledger import Scope, ScopeLimits
from ..store.control.generations import Transaction
from ..store.queries.spent import name_of, spent_since
from .key_view import BudgetState, KeyView


class TeamState(msgspec.Struct, frozen=True, kw_only=True):
    """The limits that hold for all keys of a team together, and what is spent of its budget."""

    name: str
    source: str
    rpm: int | None
    tpm: int | None
    max_concurrent: int | None
    budget: Budget | None
    spending: BudgetState | None


def state_of(level: BudgetLevel | None) -> BudgetState | None:
    if level is None:
        return None
    reset = None if level.reset is None else round(level.reset, 3)
    return BudgetState(level.limit, level.spent, level.reserved, level.left, reset)


def scope_of(of: KeyView | Team) -> Scope:
    """Return the account that the budget of a key or a team is kept in."""
    kind = OF_TEAM if isinstance(of, Team) else OF_TOKEN
    return Scope(f"{kind}{of.name}", ScopeLimits(), of.budget)


def on_record(
    connection: Transaction, keys: Sequence[KeyView], now: float
) -> list[BudgetState | None]:
    """Return what is on record as spent of each key's budget; what is under way is not in it."""
    windows: dict[Window, dict[str, int]] = {}
    found: list[BudgetState | None] = []
    for key in keys:
        if key.budget is None:
            found.append(None)
            continue
        window = key.budget.window
        if window not in windows:
            starts, _ = bounds(window, now)
            since = 0 if starts == -math.inf else round(starts * 1_000_000)
            windows[window] = spent_since(connection, since)
        spending = begin(key.budget, now)
        spending.spent = windows[window].get(name_of(key.name), 0)
        found.append(state_of(spending.level(now)))
    return found
