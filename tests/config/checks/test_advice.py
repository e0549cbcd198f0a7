from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.config.checks.advice import advice
from gateway.config.schema import Config, Model, Route, Token
from gateway.core.cache.answers import CachePolicy
from gateway.core.limits.budget import Budget
from gateway.core.routing.attempts import RetryPolicy
from gateway.providers.settings import Probe, Provider

NOW = 1_700_000_000.0
PRICED = Route(provider="p", model="x", input_price=1, output_price=2)
FREE = Route(provider="p", model="x")
BUDGET = Budget(usd=1, window="day")


def notes(**fields: Any) -> list[str]:
    return list(advice(Config(**fields), NOW))


def token(**fields: Any) -> Token:
    return Token(name="t", key="a-key-of-its-own", **fields)


def test_the_defaults_need_no_advice() -> None:
    assert notes() == []
    assert notes(models=(Model(name="m", routes=(FREE,)),), tokens=(token(),)) == []


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"retry": RetryPolicy(base=2, cap=1)}, "[retry] cap: is less than base"),
        (
            {"cache": CachePolicy(max_bytes=5, max_entry_bytes=6)},
            "[cache] max_entry_bytes: is more",
        ),
        (
            {"providers": {"p": Provider(kind="demo", api_keys=("k",))}},
            "[providers.p] api_key: the demo provider has no use for a key",
        ),
        (
            {
                "providers": {
                    "p": Provider(
                        kind="openai", base_url="http://x", probe=Probe(interval=1, timeout=2)
                    )
                }
            },
            "[providers.p] probe.timeout: is longer than interval",
        ),
        ({"tokens": (token(models=()),)}, "[[tokens]] 't' models: is empty"),
        (
            {"tokens": (token(expires_at=datetime.fromtimestamp(NOW, UTC)),)},
            "[[tokens]] 't' expires_at: is over",
        ),
    ],
)
def test_what_is_probably_not_meant(fields: dict[str, Any], note: str) -> None:
    found = notes(**fields)
    assert len(found) == 1
    assert found[0].startswith(note)


@pytest.mark.parametrize(
    ("models", "may_use", "named"),
    [
        ((Model(name="m", routes=(PRICED,)),), ("*",), []),
        ((Model(name="m", routes=(PRICED, FREE)),), ("*",), ["m"]),
        ((Model(name="m", routes=(FREE,)), Model(name="n", routes=(FREE,))), ("n",), ["n"]),
        ((Model(name="m", routes=(FREE,)), Model(name="a", alias="m")), ("a",), ["a"]),
        ((Model(name="o/*", routes=(FREE,)),), ("o/*",), ["o/*"]),
    ],
)
def test_a_budget_that_nothing_is_spent_of(
    models: tuple[Model, ...], may_use: tuple[str, ...], named: list[str]
) -> None:
    found = notes(models=models, tokens=(token(models=may_use, budget=BUDGET),))
    assert [note.partition(":")[0] for note in found] == [f"[[models]] {name!r}" for name in named]
    assert notes(models=models, tokens=(token(models=may_use),)) == []
