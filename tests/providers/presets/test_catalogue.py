from __future__ import annotations

import re
import tomllib
from urllib.parse import urlsplit

import msgspec
import pytest

from gateway.errors import ConfigError
from gateway.providers.presets.catalogue import (
    FILE,
    near_names,
    presets,
    refused_at,
    unknown_preset,
)
from gateway.providers.presets.preset import OWN, read_preset
from gateway.providers.registry import KINDS
from gateway.providers.settings import Provider

from ..kinds.described import TERMS, describe
from ..tables import provider_of

APIS = {
    *("chat", "responses", "messages", "completions", "embeddings", "moderations", "images"),
    *("audio", "files", "batches", "realtime", "rerank", "gemini", "converse", "ollama"),
}
# What base URLs of the catalogue take from the environment.
PLACES = dict.fromkeys(
    re.findall(r"\$\{([A-Z_]+)[:}]", FILE.read_text(encoding="utf-8")), "https://place.example"
) | {"AWS_REGION": "us-west-2", "GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": "us-east5"}


def taken(name: str) -> Provider:
    """Return the provider of a table with nothing in it."""
    keys = {each: f"sk-{each.lower()}-12345" for each in presets()[name].key[:1]}
    return provider_of(name, {}, keys | PLACES)


def test_it_has_sixty_providers_and_more() -> None:
    assert len([each for each in presets().values() if not each.deprecated]) >= 60
    assert len({each.base_url for each in presets().values()}) >= 60


def test_every_table_is_complete_by_itself() -> None:
    for name, preset in presets().items():
        provider = taken(name)
        assert (provider.preset, provider.kind) == (name, preset.kind)
        kind = KINDS[provider.kind]
        assert list(kind.problems(provider)) == [], name
        assert list(kind.notes(provider)) == [], name
        found = describe(name, provider, TERMS)
        assert found.origin.scheme == ("http" if preset.optional else "https"), name
        key = presets()[name].key[:1]
        assert not key or f"sk-{key[0].lower()}-12345".encode() in b" ".join(
            value for _, value in found.credentials[0].plain_headers
        ), name


def test_every_table_says_where_its_facts_come_from() -> None:
    for name, preset in presets().items():
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", name)
        assert preset.title, name
        assert re.match(r"https://\S+\.\S+", preset.docs), name
        assert preset.apis, name
        assert set(preset.apis) <= APIS, name
        assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+", each) for each in preset.key), name
        # Some have accounts instead.
        assert preset.key or name == "vertex", name


def test_no_fact_stands_in_two_places() -> None:
    places = [(each.kind, each.base_url) for each in presets().values() if not each.optional]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("grok", "groq"),
        ("togetherai", "together"),
        ("together_ai", "together"),
        ("Mistral-AI", "mistral"),
        ("fireworksai", "fireworks"),
        ("open-router", "openrouter"),
        ("deepsek", "deepseek"),
        ("lm-studio", "lmstudio"),
        ("llama.cpp", "llamacpp"),
        ("zhipuai", "zhipu"),
    ],
)
def test_a_name_that_was_nearly_right(written: str, meant: str) -> None:
    assert meant in near_names(written)
    assert repr(meant) in unknown_preset(written)


def test_a_name_that_is_like_none() -> None:
    assert near_names("qqqqqqqq") == []
    assert "`gateway providers` lists them" in unknown_preset("qqqqqqqq")


def test_a_faulty_table_is_found() -> None:
    table = tomllib.loads('title = "A"\ndocs = "https://a.example"\nkey = "A"\nkind = "openai"\n')
    with pytest.raises(msgspec.ValidationError):
        read_preset("a", table)
    assert OWN.isdisjoint(Provider.__struct_fields__)


def test_what_a_host_refuses_is_known_without_its_preset() -> None:
    assert "prompt_cache_key" in refused_at("api.mistral.ai")
    for preset in presets().values():
        host = urlsplit(preset.base_url or "").hostname
        if host:
            assert refused_at(host) >= set(preset.table.get("quirks", {}).get("refuses", ()))
    assert refused_at("127.0.0.1") == frozenset()


def test_a_new_provider_is_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/adding-a-provider.md says, to the letter."""
    text = (FILE.parents[2] / "docs" / "adding-a-provider.md").read_text(encoding="utf-8")
    match = re.search(r"```toml\n(\[acme\]\n.*?)```", text, re.DOTALL)
    assert match is not None
    table = tomllib.loads(match[1])["acme"]
    known = {**presets(), "acme": read_preset("acme", table)}
    monkeypatch.setattr("gateway.providers.presets.completed.presets", lambda: known)
    provider = provider_of("acme", {}, {"ACME_API_KEY": "sk-acme-12345"})
    found = describe("acme", provider, TERMS)
    assert (found.origin.host, found.target) == ("api.acme.example", b"/v1/chat/completions")
    assert found.fit is not None
    assert found.fit.fitted(b'{"max_completion_tokens":5}') == b'{"max_tokens":5}'
    with pytest.raises(ConfigError, match="ACME_API_KEY is not set"):
        provider_of("acme", {}, {})
