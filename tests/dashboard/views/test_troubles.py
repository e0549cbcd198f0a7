"""What is wrong comes first, worst before the rest, and each with words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gateway.config.reload_status import ReloadFailure, ReloadStatus
from gateway.core.limits.budget import Budget
from gateway.dashboard.views.budgets import BudgetUse
from gateway.dashboard.views.troubles import troubles

_RELOADS = ReloadStatus(path="/c.toml", generation=1, loaded_at="2026-01-01T00:00:00Z")


def state(**changes: Any) -> dict[str, Any]:
    store = {"since": None, "last_error": None, "journal_bytes": 0, "crowded_out": 0,
             "rejected": 0, "lost": 0}  # fmt: skip
    return {"phase": "running", "config": _RELOADS, "loop_lag_ms": 1.0, "deployments": [],
            "entry": {"turned_away": 0}, "slots": [], "store": store, **changes}  # fmt: skip


def deployment(**changes: Any) -> dict[str, Any]:
    key = {"label": "key 1", "refused": False, "rests_s": 0.0}
    return {"name": "p/m", "state": "closed", "available": True, "opens": 0, "failures": {},
            "keys": [key], **changes}  # fmt: skip


def titles(known: dict[str, Any], **more: Any) -> list[str]:
    return [each.title for each in troubles(known, more.pop("models", {}), **more)]


def test_nothing_is_wrong() -> None:
    known = state(deployments=[deployment()])
    del known["store"]
    assert titles(known, models={"a": ["p/m"]}) == []


def test_the_worst_comes_first() -> None:
    opened = deployment(state="open", available=False, opens=1, failures={"server_error": 5})
    found = troubles(state(deployments=[opened]), {"a": ["p/m"]})
    assert [each.state for each in found] == ["bad", "warn"]
    assert found[0].title == "a cannot be served"
    assert "5 server_error" in found[1].detail
    # While another deployment takes its requests, the model is served.
    other = deployment(name="q/m")
    assert titles(state(deployments=[opened, other]), models={"a": ["p/m", "q/m"]}) == [
        "p/m: breaker open"
    ]


def test_reloads_stores_keys_places_budgets_and_silence() -> None:
    failed = ReloadFailure(at="2026-01-01T00:00:00Z", problems=("no such key", "and another"))
    reloads = ReloadStatus(path="c", generation=1, loaded_at="x", last_error=failed)
    (trouble,) = troubles(state(config=reloads), {})
    assert "no such key and 1 more" in trouble.detail

    store = {**state()["store"], "since": 1.0, "last_error": "disk full", "journal_bytes": 2048}
    (trouble,) = troubles(state(store=store), {})
    assert (trouble.state, "2 KiB" in trouble.detail) == ("bad", True)

    refused = {"label": "key 1", "refused": True, "rests_s": 9.0}
    assert titles(state(deployments=[deployment(keys=[refused])])) == [
        "p/m: the provider refuses key 1"
    ]
    waiting = {"of": "the gateway", "held": 2, "limit": 2, "waiting": 7}
    assert titles(state(slots=[waiting])) == ["7 requests wait for a place: the gateway"]

    uses = [BudgetUse("t", Budget(usd=1), spent, None) for spent in (10**9, 8 * 10**8, 5 * 10**8)]
    assert titles(state(), budgets=uses) == [
        "t: its budget is spent", "t: its budget is nearly spent"]  # fmt: skip

    silent = SimpleNamespace(age_s=90.0, events=0, model="m", provider=None)
    (title,) = titles(state(), oldest=[silent])
    assert title.startswith("1 requests have had no answer")
