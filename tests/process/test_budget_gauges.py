"""Budgets as metrics show them: those that are spent the most, of keys and of teams."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gateway.config.callers import callers_of
from gateway.config.load import parse
from gateway.core.limits.ledger import Scope
from gateway.process.budget_gauges import BudgetWatch
from gateway.state.limits import MemoryLimits

CONFIG = """
[providers.demo]
kind = "demo"
[[models]]
name = "m"
routes = [{ provider = "demo", model = "demo" }]
[[teams]]
name = "search"
budget = { usd = 100, window = "month" }
[[tokens]]
name = "a"
key = "sk-a-long-enough-1"
team = "search"
budget = { usd = 10, window = "day" }
[[tokens]]
name = "b"
key = "sk-b-long-enough-1"
team = "search"
budget = { usd = 2, window = "total" }
[[tokens]]
name = "c"
key = "sk-c-long-enough-1"
rpm = 5
"""
NANO = 1_000_000_000


def scopes_of(callers: Any) -> dict[str, Scope]:
    return {scope.key: scope for caller in callers.values() for scope in caller.scopes}


async def test_what_is_spent_and_left() -> None:
    callers = callers_of(parse(CONFIG, "test", {}))
    limits, scopes = MemoryLimits(), scopes_of(callers)
    await limits.recall([(scopes["token:b"], NANO), (scopes["team:search"], 3 * NANO)], 2e9)
    snapshot: Any = SimpleNamespace(callers=callers)
    watch = BudgetWatch(limits, lambda: snapshot, 10)
    assert not len(watch.found)
    await watch.refresh()
    assert [
        (each.of, each.name, each.window, each.limit, each.spent, each.left) for each in watch.found
    ] == [
        ("token", "b", "total", 2.0, 1.0, 1.0),
        ("token", "a", "day", 10.0, 0.0, 10.0),
        ("team", "search", "month", 100.0, 3.0, 97.0),
    ]
    # Those of which the most is spent, of each of the two.
    watch = BudgetWatch(limits, lambda: snapshot, 1)
    await watch.refresh()
    assert [each.name for each in watch.found] == ["b", "search"]
    # A reload that takes them away.
    snapshot.callers = {}
    await watch.refresh()
    assert not watch.found


async def test_many_budgets_are_looked_through_in_parts() -> None:
    text = CONFIG + "".join(
        f'[[tokens]]\nname = "t{n}"\nkey = "sk-number-{n:09}"\n'
        'budget = { usd = 1, window = "day" }\n'
        for n in range(1200)
    )
    callers = callers_of(parse(text, "test", {}))
    limits = MemoryLimits()
    await limits.recall([(scopes_of(callers)["token:t1199"], NANO // 2)], 2e9)
    snapshot: Any = SimpleNamespace(callers=callers)
    watch = BudgetWatch(limits, lambda: snapshot, 5)
    await watch.refresh()
    assert watch.found[0].name == "t1199"
    assert len(watch.found) == 6
