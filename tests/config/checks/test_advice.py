from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.config.checks.advice import advice
from gateway.config.keys.tables import Token
from gateway.config.schema import Config, Model, Route
from gateway.core.cache.answers import CachePolicy
from gateway.core.limits.budget import Budget
from gateway.core.routing.attempts import RetryPolicy
from gateway.providers.settings import Probe, Provider

NOW = 1_700_000_000.0
PRICED = Route(provider="p", model="x", input_price=1, output_price=2)
UNPRICED = Route(provider="p", model="x")
FREE = Route(provider="p", model="x", input_price=0, output_price=0)
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
                        kind="openai", base_url="http://x/v1", probe=Probe(interval=1, timeout=2)
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


HALF = Route(provider="p", model="y", input_price=1)
OTHER_HALF = Route(provider="q", model="z", output_price=0, cached_input_price=1)
NONE = "has no input_price and no output_price"


@pytest.mark.parametrize(
    ("models", "named"),
    [
        ((Model(name="m", routes=(PRICED, FREE)), Model(name="a", alias="m")), {}),
        ((Model(name="m", routes=(PRICED, UNPRICED)),), {"'m' routes[1] (p/x)": NONE}),
        (
            (Model(name="m", routes=(HALF, OTHER_HALF)), Model(name="o/*", routes=(UNPRICED,))),
            {
                "'m' routes[0] (p/y)": "has no output_price:",
                "'m' routes[1] (q/z)": "has no input_price:",
                "'o/*' routes[0] (p/x)": NONE,
            },
        ),
    ],
)
def test_routes_without_or_with_half_a_price(
    models: tuple[Model, ...], named: dict[str, str]
) -> None:
    found = notes(models=models)
    assert len(found) == len(named)
    for note, (route, what) in zip(found, named.items(), strict=True):
        assert note.startswith(f"[[models]] {route}: {what}")
        assert "budget" not in note
    assert all("budget" in note for note in notes(models=models, tokens=(token(budget=BUDGET),)))
