from __future__ import annotations

import msgspec
import pytest

from gateway.core.dialects.cohere.dialect import COHERE_CHAT
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.rerank.dialect import RERANK
from gateway.providers.kinds.cohere import KIND
from gateway.providers.settings import Provider

from .described import TERMS, place_of


def provider(**more: object) -> Provider:
    return Provider(kind="cohere", **({"api_key": "k"} | more))  # type: ignore[arg-type]


def test_where_it_is_called() -> None:
    found = KIND.describe("c", provider(), place_of(provider()), TERMS)
    assert found.origin.host == "api.cohere.com"
    assert found.target == found.stream_target == b"/v2/chat"
    assert found.takes(COHERE_CHAT)
    assert not found.takes(OPENAI_CHAT)
    assert found.targets[RERANK.name] == b"/v2/rerank"
    assert dict(found.credentials[0].plain_headers)[b"authorization"] == b"Bearer k"
    assert found.forwarded({b"x-client-name": b"mine"}) == ((b"x-client-name", b"mine"),)
    call = KIND.models_call("c", provider(), place_of(provider()))
    assert call.target == b"/v1/models?page_size=1000"
    table = provider(base_url="https://h.example/cohere/")
    assert KIND.describe("c", table, place_of(table), TERMS).target == b"/cohere/v2/chat"


@pytest.mark.parametrize(
    ("model", "reasoning"),
    [
        ("command-a-reasoning-08-2025", "budget"),
        ("command-a-plus", "budget"),
        ("command-a-03-2025", "none"),
        ("command-r7b-12-2024", "none"),
    ],
)
def test_which_models_think(model: str, reasoning: str) -> None:
    terms = msgspec.structs.replace(TERMS, model=model)
    assert KIND.describe("c", provider(), place_of(provider()), terms).reasoning == reasoning


@pytest.mark.parametrize(
    ("base_url", "said"),
    [
        ("https://api.cohere.com/v2", "stop before it"),
        ("https://api.cohere.com/v2/chat", "stop before it"),
        ("https://api.cohere.ai/compatibility/v1/", 'kind = "openai"'),
    ],
)
def test_addresses_that_go_on_too_far(base_url: str, said: str) -> None:
    ((key, problem),) = KIND.problems(provider(base_url=base_url))
    assert key == "base_url"
    assert said in problem
    assert not [*KIND.problems(provider(base_url="https://h.example/x"))]
