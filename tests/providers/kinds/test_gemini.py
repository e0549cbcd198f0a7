from __future__ import annotations

import msgspec
import pytest

from gateway.core.dialects.gemini.dialect import asked_by
from gateway.core.wire.splice import members
from gateway.providers.kinds.gemini import KIND
from gateway.providers.settings import Provider

from .described import TERMS, place_of


def provider(**more: object) -> Provider:
    return Provider(kind="gemini", **({"api_key": "AIza-1"} | more))  # type: ignore[arg-type]


def test_where_it_is_called_and_how_a_key_is_shown() -> None:
    terms = msgspec.structs.replace(TERMS, model="gemini-2.5-flash")
    found = KIND.describe("g", provider(), place_of(provider()), terms)
    model = b"/v1beta/models/gemini-2.5-flash"
    assert found.origin.host == "generativelanguage.googleapis.com"
    assert found.target == model + b":generateContent"
    assert found.stream_target == model + b":streamGenerateContent?alt=sse"
    headers = dict(found.credentials[0].stream_headers)
    assert headers[b"x-goog-api-key"] == b"AIza-1"
    assert b"authorization" not in headers
    assert found.reasoning == "budget"
    for method in ("countTokens", "embedContent", "batchEmbedContents"):
        dialect = asked_by(f"/v1/models/m:{method}")
        assert dialect is not None
        assert found.takes(dialect)
        assert found.targets[dialect.name] == model + f":{method}".encode()
    dialect = asked_by("/models/m:streamGenerateContent")
    assert dialect is not None
    assert found.takes(dialect)


def test_an_access_token_is_a_bearer_token() -> None:
    table = provider(api_key="ya29.x", base_url="https://h.example/v1/")
    found = KIND.describe("g", table, place_of(table), TERMS)
    headers = dict(found.credentials[0].plain_headers)
    assert headers[b"authorization"] == b"Bearer ya29.x"
    assert b"x-goog-api-key" not in headers
    assert found.target.startswith(b"/v1/models/")


@pytest.mark.parametrize(
    ("model", "reasoning"),
    [
        ("gemini-3-pro-preview", "effort"),
        ("gemini-3.5-flash", "effort"),
        ("gemini-2.5-pro", "budget"),
        ("gemini-2.0-flash", "none"),
        ("gemini-embedding-001", "none"),
        ("gemma-3-27b-it", "none"),
    ],
)
def test_how_a_model_reasons(model: str, reasoning: str) -> None:
    terms = msgspec.structs.replace(TERMS, model=model)
    found = KIND.describe("g", provider(), place_of(provider()), terms)
    assert found.reasoning == reasoning
    can = found.capabilities
    assert (can is not None and can.tools is False) == model.startswith("gemma")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://generativelanguage.googleapis.com", None),
        ("https://generativelanguage.googleapis.com/v1beta", None),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", 'kind = "openai"'),
        ("https://h.example/v1beta/models", "goes on too far"),
        ("https://h.example/models/m:generateContent", "goes on too far"),
    ],
)
def test_problems(url: str, problem: str | None) -> None:
    found = [said for _, said in KIND.problems(provider(base_url=url))]
    assert len(found) == (problem is not None)
    assert problem is None or problem in found[0]


def test_members_that_choose_for_themselves() -> None:
    body = b'{"generation_config":{"routing_config":{"manualMode":{"modelName":"x"}}}}'
    assert [each.name for each in KIND.overrides.find(members(body), body)]
    body = b'{"contents":[],"cachedContent":"cachedContents/1"}'
    assert [each.name for each in KIND.overrides.find(members(body), body)] == ["cachedContent"]
    plain = b'{"contents":[],"generationConfig":{"temperature":1},"tools":[{"googleSearch":{}}]}'
    assert not [*KIND.overrides.find(members(plain), plain)]


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (None, b"/v1beta/models?pageSize=1000"),
        ("https://h.example/v1/", b"/v1/models?pageSize=1000"),
        ("https://h.example/x", b"/x/v1beta/models?pageSize=1000"),
    ],
)
def test_where_its_models_are_listed(url: str | None, target: bytes) -> None:
    table = provider(base_url=url)
    call = KIND.models_call("g", table, place_of(table))
    assert call.target == target
    assert dict(call.headers)[b"x-goog-api-key"] == b"AIza-1"


def test_searches_and_levels() -> None:
    for model, efforts, searches in (
        ("gemini-3-pro-preview", ("low", "high"), True),
        ("gemini-3.1-pro", ("low", "medium", "high"), True),
        ("gemini-3-flash", ("minimal", "low", "medium", "high"), True),
        ("gemini-1.5-flash", ("minimal", "low", "medium", "high"), False),
    ):
        terms = msgspec.structs.replace(TERMS, model=model)
        found = KIND.describe("g", provider(), place_of(provider()), terms).terms
        assert (found.efforts, found.searches) == (efforts, searches)
        elsewhere = provider(base_url="https://h.example")
        found = KIND.describe("g", elsewhere, place_of(elsewhere), terms).terms
        assert not found.searches
