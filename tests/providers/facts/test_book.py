from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.core.records.pricing import cost
from gateway.core.records.usage import Usage
from gateway.providers.facts.book import (
    BookHead,
    ModelBook,
    check_book,
    fact_names,
    read_book,
    written,
)
from gateway.providers.facts.current import BUNDLED, bundled_book
from gateway.providers.facts.fact import ModelFact, PriceRow
from gateway.providers.presets.catalogue import presets

from ..tables import provider_of

HEAD = BookHead(source="litellm", version="1", made="2026-01-01", licence="MIT")


def book(**models: ModelFact) -> ModelBook:
    return read_book(written(HEAD, {"openai": models}))


def test_the_book_of_the_package_is_whole() -> None:
    found = bundled_book()
    assert check_book(found) > 2000
    assert found.head.licence.startswith("MIT")
    assert BUNDLED.with_name("models.json.license").read_text().count("MIT License") == 1
    names = {name for each in presets().values() for name in each.facts}
    # Where the catalogue looks there is something, but for gateways that say the cost themselves.
    assert {*found.providers} >= names - {"openrouter"}


@pytest.mark.parametrize(
    ("preset", "model", "usage", "nano_dollars"),
    [
        # openai.com/api/pricing: 0.15, 0.075 cached, 0.60.
        ("openai", "gpt-4o-mini", Usage(1000, 500, 400), 90_000 + 30_000 + 300_000),
        # ai.google.dev/gemini-api/docs/pricing, "Gemini 2.5 Pro".
        ("gemini", "gemini-2.5-pro", Usage(200_000, 10), 250_100_000),
        ("gemini", "gemini-2.5-pro", Usage(200_001, 10), 500_152_500),
        # claude.com/pricing, "Sonnet 4.5": 3, 15, 0.30 read, 3.75 and 6 written.
        (
            "anthropic",
            "claude-sonnet-4-5",
            Usage(1000, 10, 100, cache_write_tokens=800, cache_write_1h_tokens=300),
            100 * 3000 + 100 * 300 + 300 * 6000 + 500 * 3750 + 10 * 15000,
        ),
    ],
)
def test_prices_of_well_known_models(
    preset: str, model: str, usage: Usage, nano_dollars: int
) -> None:
    fact = bundled_book().find(presets()[preset].facts, model)
    assert fact is not None
    prices = fact.prices("x")
    assert prices is not None
    assert cost(usage, prices) == nano_dollars


def test_a_provider_is_known_by_its_preset_or_its_host() -> None:
    keys = {"GROQ_API_KEY": "sk-12345678"}
    groq = {"kind": "openai", "base_url": "https://api.groq.com/openai/v1", "api_key": "sk-1234567"}
    assert fact_names(provider_of("groq", {}, keys)) == ("groq",)
    assert fact_names(provider_of("x", groq, {})) == ("groq",)
    away = {"preset": "groq", "base_url": "http://127.0.0.1:1/v1"}
    assert fact_names(provider_of("x", away, keys)) == ("groq",)
    assert fact_names(provider_of("x", {"kind": "anthropic", "api_key": "k" * 8}, {})) == (
        "anthropic",
    )
    local = {"kind": "openai", "base_url": "http://127.0.0.1:8000/v1"}
    assert fact_names(provider_of("x", local, {})) == ()
    assert fact_names(provider_of("openai", {"kind": "demo"}, {})) == ()


def test_a_model_is_found_by_its_very_name() -> None:
    fact = ModelFact(price=PriceRow(input=Decimal(1)))
    found = book(**{"gpt-x": fact, "big": fact})
    assert found.find(("openai",), "gpt-x") == fact
    assert found.find(("none", "openai"), "GPT-X") == fact
    for other in ("gpt-x-2024-01-01", "gpt", "gpt-x ", "", "openai/gpt-x"):
        assert found.find(("openai",), other) is None


def test_prices_are_kept_to_the_digit() -> None:
    price = PriceRow(input=Decimal("0.000000001"), output=Decimal("123456.789012345"))
    text = written(HEAD, {"openai": {"m": ModelFact(price=price)}})
    assert b'"in":0.000000001' in text or b'"in":1E-9' in text
    found = read_book(text).find(("openai",), "m")
    assert found is not None
    assert found.price == price


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b"\xff", b'{"format":1}', written(HEAD, {}).replace(b": 1,", b": 2,", 1)],
)
def test_what_is_no_book(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"models\.json|format"):
        read_book(text)


def test_a_book_with_a_fault_inside_is_found_before_it_is_used() -> None:
    text = written(HEAD, {"openai": {"m": ModelFact()}}).replace(b'"m": {', b'"m": [')
    with pytest.raises(ValueError, match=r"models\.json"):
        check_book(read_book(text.replace(b'"chat"}', b'"chat"]')))


def test_what_is_billed_by_the_unit() -> None:
    book = bundled_book()
    provider = provider_of("openai", {}, {"OPENAI_API_KEY": "sk-x"})
    for model, units in (
        ("tts-1", {"character": Decimal("0.000015")}),
        ("whisper-1", {"second": Decimal("0.0001")}),
    ):
        found = book.prices(provider, model)
        assert found is not None
        assert dict(found.units) == units
    image = book.prices(provider, "gpt-image-1.5")
    assert image is not None
    assert dict(image.units)["image high/1024x1024"] == Decimal("0.133")
    assert image.output_image == 32
    cohere = book.find(("cohere",), "rerank-v3.5")
    assert cohere is not None
    prices = cohere.prices("x")
    assert prices is not None
    # 2 dollars for a thousand searches (cohere.com/pricing).
    assert prices.search == 2
