"""Whose budgets hold, and how full they are."""

from __future__ import annotations

from gateway.config.callers import callers_of
from gateway.config.load import parse
from gateway.core.limits.budget import Budget
from gateway.dashboard.views.budgets import budget_use, budgets_of
from gateway.store.engine.database import Database

CONFIG = parse(
    '[providers.p]\nkind = "demo"\n'
    '[[models]]\nname = "m"\nroutes = [{ provider = "p", model = "x" }]\n'
    '[[teams]]\nname = "search"\nbudget = { usd = 3 }\n'
    '[[tokens]]\nname = "a"\nkey = "a-key-of-the-file"\nteam = "search"\n'
    '[[tokens]]\nname = "b"\nkey = "another-key-of-it"\nbudget = { usd = 2 }\n',
    "test",
    {},
)


def test_a_team_s_budget_is_none_of_its_keys() -> None:
    found = budgets_of(callers_of(CONFIG).values())
    assert found == {("team", "search"): Budget(usd=3), ("token", "b"): Budget(usd=2)}


def test_both_are_read(sqlite_database: Database) -> None:
    known = budgets_of(callers_of(CONFIG).values())
    used = sqlite_database.read_now(lambda connection: budget_use(connection, known, 1.79e9))
    assert [(each.shown, each.spent, each.left) for each in used] == [
        ("b", 0, 2 * 10**9), ("team search", 0, 3 * 10**9),
    ]  # fmt: skip
