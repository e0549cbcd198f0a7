"""What is known of models by their names."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.routing.capabilities.declared import UNDECLARED, Capabilities
from gateway.core.routing.deployment import Deployment
from gateway.providers.capabilities import text_only
from gateway.providers.registry import KINDS
from gateway.providers.settings import Provider

from .kinds.described import TERMS, place_of


@pytest.mark.parametrize(
    "model",
    [
        *("gpt-3.5-turbo", "openai/gpt-3.5-turbo-0125", "o3-mini", "o1-mini", "o1-preview"),
        *("openai/gpt-oss-120b", "deepseek-chat", "deepseek/deepseek-reasoner", "deepseek-r1"),
        *("claude-2.1", "claude-instant-1.2", "anthropic.claude-instant-v1"),
    ],
)
def test_some_read_text_only(model: str) -> None:
    assert text_only(model).images is False


@pytest.mark.parametrize(
    "model",
    [
        *("gpt-4o-mini", "gpt-5", "o1", "o3", "o4-mini", "claude-3-haiku-20240307", "claude-x"),
        *("claude-sonnet-4-5", "deepseek-vl2", "deepseek-chat2", "my-gpt-3.5", "claude-20"),
    ],
)
def test_of_others_nothing_is_said(model: str) -> None:
    assert text_only(model) is UNDECLARED


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_route_goes_before_its_provider_and_that_before_the_name(kind: str) -> None:
    def described(model: str, provider: Capabilities, route: Capabilities) -> Deployment:
        table = Provider(kind=kind, base_url="http://h", capabilities=provider)
        terms = msgspec.structs.replace(TERMS, model=model, capabilities=route)
        return KINDS[kind].describe("p", table, place_of(table), terms)

    plain = described("m", UNDECLARED, UNDECLARED)
    assert plain.capabilities is None
    named = described("gpt-3.5-turbo", UNDECLARED, UNDECLARED)
    assert named.capabilities == Capabilities(images=False, documents=False, audio=False)
    seeing = Capabilities(images=True, documents=True, audio=True)
    assert described("gpt-3.5-turbo", seeing, UNDECLARED).capabilities is None
    both = described("m", Capabilities(tools=False, images=False), Capabilities(images=True))
    assert both.capabilities == Capabilities(tools=False, images=True)
    assert described("m", Capabilities(max_output_tokens=5), UNDECLARED).max_output_tokens == 5
