from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import ConfigError
from gateway.providers.presets.completed import completed

from ..tables import provider_of

KEYS = {"GROQ_API_KEY": "sk-groq-12345", "MISTRAL_API_KEY": "sk-mistral-12345"}


def test_the_name_alone_is_enough() -> None:
    provider = provider_of("groq", {}, KEYS)
    assert (provider.kind, provider.base_url) == ("openai", "https://api.groq.com/openai/v1")
    assert (provider.api_key, provider.preset) == ("sk-groq-12345", "groq")


def test_another_name() -> None:
    provider = provider_of("fast", {"preset": "groq"}, KEYS)
    assert (provider.api_key, provider.preset) == ("sk-groq-12345", "groq")


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "openai", "base_url": "http://127.0.0.1:1/v1"},
        {"kind": "anthropic"},
        {"kind": "demo"},
        {"preset": "", "kind": "openai", "base_url": "https://x.example/v1"},
    ],
)
def test_a_table_that_says_what_it_is_takes_none(given: dict[str, Any]) -> None:
    assert provider_of("groq", given, KEYS).api_key is None


def test_a_kind_that_is_the_same_or_an_address_alone() -> None:
    assert provider_of("groq", {"kind": "openai"}, KEYS).api_key == "sk-groq-12345"
    found = provider_of("groq", {"base_url": "https://proxy.example/v1"}, KEYS)
    assert (found.base_url, found.api_key) == ("https://proxy.example/v1", "sk-groq-12345")
    found = provider_of("x", {"preset": "groq", "kind": "openai", "base_url": "https://p/v1"}, KEYS)
    assert found.api_key == "sk-groq-12345"


def test_what_the_file_says_goes_before() -> None:
    provider = provider_of(
        "mistral",
        {
            "api_key": "sk-mine-12345",
            "stream_usage": True,
            "quirks": {"refuses": ["user"]},
            "capabilities": {"images": False},
        },
        {},
    )
    assert (provider.api_key, provider.stream_usage) == ("sk-mine-12345", True)
    assert provider.quirks.refuses == ("user",)
    # Key by key.
    assert provider.quirks.renames == {
        "max_completion_tokens": "max_tokens",
        "seed": "random_seed",
    }
    assert provider.capabilities.images is False


@pytest.mark.parametrize(
    "own",
    [
        {"api_keys": ["sk-a-12345678", "sk-b-12345678"]},
        {"headers": {"Authorization": "Bearer mine"}},
        {"headers": {"x-api-key": "mine"}},
        {"oauth": {"token_url": "https://t.example", "client_id": "c", "client_secret": "s"}},
    ],
)
def test_no_key_is_looked_for_where_there_is_another_way(own: dict[str, Any]) -> None:
    assert provider_of("groq", own, KEYS).api_key is None


def test_the_first_variable_that_is_set_counts() -> None:
    assert completed("gemini", {}, {"GOOGLE_API_KEY": "g"})["api_key"] == "${GOOGLE_API_KEY}"
    both = {"GOOGLE_API_KEY": "g", "GEMINI_API_KEY": "x"}
    assert completed("gemini", {}, both)["api_key"] == "${GEMINI_API_KEY}"
    # An empty one is as good as none.
    assert completed("gemini", {}, {"GEMINI_API_KEY": ""})["api_key"] == "${GEMINI_API_KEY}"


def test_a_key_that_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"\[providers.groq\] api_key: .*GROQ_API_KEY is not set"):
        provider_of("groq", {}, {})


def test_a_server_of_ones_own_needs_no_key() -> None:
    assert provider_of("vllm", {}, {}).api_key is None
    assert provider_of("vllm", {}, {"VLLM_API_KEY": "sk-vllm-12345"}).api_key == "sk-vllm-12345"


def test_a_place_of_the_environment() -> None:
    keys = {"CLOUDFLARE_API_TOKEN": "sk-cf-12345", "CLOUDFLARE_ACCOUNT_ID": "abc"}
    assert "/accounts/abc/ai/v1" in (provider_of("cloudflare", {}, keys).base_url or "")


def test_names_that_are_none() -> None:
    with pytest.raises(ConfigError, match="preset: there is no such preset; did you mean 'groq'"):
        provider_of("x", {"preset": "grok"}, {})
    with pytest.raises(ConfigError, match=r"kind: missing; .*; or is the preset 'groq' meant"):
        provider_of("grok", {}, {})
    with pytest.raises(ConfigError, match="preset: expected a string"):
        provider_of("groq", {"preset": 5, "kind": "openai"}, KEYS)
