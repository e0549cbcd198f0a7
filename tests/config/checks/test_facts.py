"""What `gateway check` says of counts of tokens."""

from __future__ import annotations

import pytest

from gateway.config import load
from gateway.config.checks import facts
from gateway.config.checks.facts import guessed_counts
from gateway.installation import how_to_add

PROVIDERS = """
[providers.anthropic]
api_key = "k"
[providers.v]
kind = "openai"
base_url = "https://v/v1"
api_key = "k"
[providers.r]
kind = "openai"
base_url = "https://h/v1"
api_key = "k"
api = "responses"
"""


def model(name: str, *providers: str) -> str:
    routes = ", ".join(f'{{ provider = "{each}", model = "x" }}' for each in providers)
    return f'[[models]]\nname = "{name}"\nroutes = [{routes}]\n'


MODELS = (
    model("counts", "anthropic")
    + model("one-counts", "v", "anthropic")
    + model("responses", "r")
    + "".join(model(f"guess{number}", "v") for number in range(5))
)


def test_models_that_nobody_counts_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load.parse(PROVIDERS + MODELS, "c.toml", {})
    monkeypatch.setattr(facts, "tokenizer_installed", lambda: False)
    [note] = guessed_counts(config)
    assert note.startswith("[[models]] 'guess0', 'guess1', 'guess2' and 2 more: ")
    assert note.endswith(how_to_add("tokens"))
    monkeypatch.setattr(facts, "tokenizer_installed", lambda: True)
    assert list(guessed_counts(config)) == []


def test_nothing_is_said_where_providers_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "tokenizer_installed", lambda: False)
    text = PROVIDERS + model("counts", "anthropic") + model("responses", "r")
    assert list(guessed_counts(load.parse(text, "c.toml", {}))) == []
