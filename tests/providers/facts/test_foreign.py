from __future__ import annotations

import json
from decimal import Decimal

from gateway.providers.facts.fact import ModelFact, PriceRow, TierRow
from gateway.providers.facts.foreign import convert, is_foreign, read_json

BASE = {"litellm_provider": "gemini", "mode": "chat"}


def converted(name: str, **more: object) -> ModelFact:
    table = json.dumps({"sample_spec": {"mode": "one of"}, name: {**BASE, **more}}).encode()
    found = read_json(table)
    assert is_foreign(found)
    ((models),) = convert(found).values()
    return models[name.partition("/")[2] or name]


def test_prices_by_the_token_are_prices_by_the_million() -> None:
    fact = converted(
        "gemini/m",
        input_cost_per_token=1.25e-06,
        output_cost_per_token=0,
        cache_read_input_token_cost=5.0000000000000004e-08,
        cache_creation_input_token_cost=3.75e-06,
        cache_creation_input_token_cost_above_1hr=6e-06,
        input_cost_per_audio_token=1e-06,
        output_cost_per_image_token=3e-05,
        input_cost_per_token_batches=6.25e-07,
        input_cost_per_query=0.002,
        max_input_tokens=1000,
        max_output_tokens="many",
        supports_vision=True,
        supports_function_calling=False,
        deprecation_date="2026-12-01",
    )
    assert fact == ModelFact(
        price=PriceRow(
            input=Decimal("1.25"),
            output=Decimal(0),
            cached_input=Decimal("0.05"),
            cache_write=Decimal("3.75"),
            cache_write_1h=Decimal(6),
            input_audio=Decimal(1),
            output_image=Decimal(30),
        ),
        batch=PriceRow(input=Decimal("0.625")),
        units={"query": Decimal("0.002")},
        context=1000,
        can=("images",),
        cannot=("tools",),
        retires="2026-12-01",
    )
    assert fact.capabilities.tools is False
    assert fact.capabilities.images is None


def test_prices_of_long_prompts_have_all_that_the_others_have() -> None:
    fact = converted(
        "gemini/m",
        input_cost_per_token=1e-06,
        output_cost_per_token=2e-06,
        cache_read_input_token_cost=1e-07,
        input_cost_per_token_above_200k_tokens=2e-06,
        input_cost_per_token_above_200k_tokens_priority=9e-06,
        input_cost_per_token_above_272k_tokens=3e-06,
        output_cost_per_token_above_272k_tokens=4e-06,
    )
    assert fact.tiers == (
        TierRow(above=200_000, input=Decimal(2), output=Decimal(2), cached_input=Decimal("0.1")),
        TierRow(above=272_000, input=Decimal(3), output=Decimal(4), cached_input=Decimal("0.1")),
    )


def test_prices_by_ranges() -> None:
    ranges = [
        {"range": [0, 32000.0], "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
        {"range": [32000.0, 1e6], "input_cost_per_token": 3e-06, "output_cost_per_token": 4e-06},
    ]
    first = {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}
    fact = converted("gemini/m", tiered_pricing=ranges, **first)
    assert fact.tiers == (TierRow(above=32_000, input=Decimal(3), output=Decimal(4)),)
    # Without a base the first range is it.
    assert converted("gemini/m", tiered_pricing=ranges).price == PriceRow(
        input=Decimal(1), output=Decimal(2)
    )


def test_names_are_the_providers_own() -> None:
    table = {
        "vertex_ai/claude-x@1": {"litellm_provider": "vertex_ai-anthropic_models", "mode": "chat"},
        "together_ai/a/b": {"litellm_provider": "together_ai", "mode": "chat"},
        "anthropic.claude": {"litellm_provider": "bedrock", "mode": "chat"},
        "odd": {"litellm_provider": "x", "mode": "video_generation"},
        "odder": [],
    }
    found = convert(table)
    assert {provider: [*models] for provider, models in found.items()} == {
        "vertex_ai-anthropic_models": ["claude-x@1"],
        "together_ai": ["a/b"],
        "bedrock": ["anthropic.claude"],
    }
    assert [*convert(table, {"bedrock"})] == ["bedrock"]
