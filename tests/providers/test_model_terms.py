"""What models are known to refuse, by their names and hosts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.dialects.translators import translate
from gateway.providers.model_terms import anthropic_terms, openai_terms
from gateway.providers.presets.catalogue import refused_at

from ..core.dialects.canonical.recipient import To

OPENAI = "api.openai.com"


@pytest.mark.parametrize(
    ("model", "sampling", "least", "most", "stops"),
    [
        ("gpt-4o", "all", "low", "high", True),
        ("gpt-35-turbo", "all", "low", "high", True),
        ("gpt-5", "none", "minimal", "high", False),
        ("openai/gpt-5-mini", "none", "minimal", "high", False),
        ("gpt-5-chat-latest", "all", "minimal", "high", True),
        ("gpt-5-codex", "none", "low", "high", False),
        ("gpt-5-pro", "none", "high", "high", False),
        ("gpt-5.1", "unless_reasoning", "none", "high", False),
        ("gpt-5.1-codex-max", "none", "low", "xhigh", False),
        ("gpt-5.2", "unless_reasoning", "none", "xhigh", False),
        ("o3", "none", "low", "high", False),
        ("o4-mini", "none", "low", "high", False),
        ("gpt-oss-120b", "all", "low", "high", True),
        ("deepseek-chat", "all", "low", "high", True),
    ],
)  # fmt: skip
def test_models_of_openai(model: str, sampling: str, least: str, most: str, stops: bool) -> None:
    terms = openai_terms(model, OPENAI, OPENAI_CHAT, searches=None)
    assert (terms.sampling, terms.efforts[0], terms.efforts[-1], terms.stops) == (
        *(sampling, least, most),
        stops,
    )


@pytest.mark.parametrize(
    ("model", "sampling"),
    [
        ("claude-3-5-haiku-20241022", "all"),
        ("claude-sonnet-4-20250514", "all"),
        ("claude-opus-4-20250514", "all"),
        ("claude-opus-4-1-20250805", "one"),
        ("claude-sonnet-4-5", "one"),
        ("claude-haiku-4-5-20251001", "one"),
        ("claude-opus-4-6", "one"),
        ("claude-opus-4-7", "none"),
        ("claude-opus-4-8", "none"),
        ("claude-sonnet-5", "none"),
        ("deepseek-chat", "all"),
    ],
)
def test_models_of_anthropic(model: str, sampling: str) -> None:
    assert anthropic_terms(model, "api.anthropic.com", searches=None).sampling == sampling


def test_who_searches() -> None:
    def openai(model: str, host: str, dialect: Dialect, searches: bool | None = None) -> bool:
        return openai_terms(model, host, dialect, searches=searches).searches

    assert openai("gpt-5", OPENAI, OPENAI_RESPONSES)
    assert openai("gpt-5", "x.openai.azure.com", OPENAI_RESPONSES)
    assert openai("grok-4", "api.x.ai", OPENAI_RESPONSES)
    assert not openai("gpt-4.1-nano", OPENAI, OPENAI_RESPONSES)
    assert not openai("gpt-5", "127.0.0.1", OPENAI_RESPONSES)
    assert not openai("gpt-5", "notopenai.azure.com", OPENAI_RESPONSES)
    assert not openai("gpt-5", OPENAI, OPENAI_CHAT)
    assert openai("gpt-4o-search-preview", OPENAI, OPENAI_CHAT)
    assert openai("x", "127.0.0.1", OPENAI_CHAT, True)
    assert not openai("gpt-5", OPENAI, OPENAI_RESPONSES, False)
    assert anthropic_terms("claude-sonnet-4-5", "api.anthropic.com", searches=None).searches
    assert not anthropic_terms("claude-3-opus", "api.anthropic.com", searches=None).searches
    assert not anthropic_terms("deepseek-chat", "api.deepseek.com", searches=None).searches
    assert not anthropic_terms("claude-sonnet-4-5", "api.anthropic.com", searches=False).searches


def sent(caller: Dialect, body: dict[str, Any], to: To) -> tuple[dict[str, Any], tuple[str, ...]]:
    request = caller.read_request(json.dumps({"model": "m"} | body).encode())
    found = translate(request, caller, to, 0.0)
    return json.loads(found.inner.body), found.dropped


def test_members_that_a_host_refuses_are_left_out_and_listed() -> None:
    body = {"input": "Hi", "prompt_cache_key": "k", "safety_identifier": "s", "user": "u", "text": {"verbosity": "low"}, "metadata": {"a": "b"}, "parallel_tool_calls": True}  # noqa: E501  # fmt: skip
    everything = {"prompt_cache_key", "safety_identifier", "user", "verbosity", "metadata"}
    for host, model, refused in [
        ("127.0.0.1", "x", set()),
        (OPENAI, "gpt-5", {"metadata"}),
        (OPENAI, "gpt-4o", {"metadata", "verbosity"}),
        ("api.mistral.ai", "x", everything),
        ("api.groq.com", "x", everything - {"user"}),
        ("api.cerebras.ai", "x", everything - {"user"}),
        ("generativelanguage.googleapis.com", "x", everything),
    ]:
        terms = openai_terms(model, host, OPENAI_CHAT, refused=refused_at(host))
        found, dropped = sent(OPENAI_RESPONSES, body, To(OPENAI_CHAT, terms=terms))
        assert everything - found.keys() == refused
        assert {name.removeprefix("text.") for name in dropped} == refused
        assert "parallel_tool_calls" not in found


def test_sampling_that_a_model_refuses() -> None:
    said = [{"role": "user", "content": "Hi"}]
    body: dict[str, Any] = {"messages": said, "temperature": 0.2, "top_p": 0.9}
    cases: list[tuple[str, dict[str, Any], set[str]]] = [
        ("gpt-4o", {}, {"temperature", "top_p"}),
        ("gpt-5", {}, set()),
        ("gpt-5.1", {}, {"temperature", "top_p"}),
        ("gpt-5.1", {"thinking": {"type": "enabled", "budget_tokens": 2048}}, set()),
        ("gpt-5.1", {"thinking": {"type": "disabled"}}, {"temperature", "top_p"}),
    ]
    for model, reasons, expected in cases:
        for dialect in (OPENAI_CHAT, OPENAI_RESPONSES):
            terms = openai_terms(model, OPENAI, dialect, searches=None)
            to = To(dialect, reasoning="effort", terms=terms)
            found, dropped = sent(ANTHROPIC_MESSAGES, body | {"max_tokens": 9} | reasons, to)
            assert found.keys() & {"temperature", "top_p"} == expected
            assert set(dropped) == {"temperature", "top_p"} - expected
    for model, kept in [
        ("claude-sonnet-4-0", {"temperature", "top_p"}),
        ("claude-sonnet-4-5", {"temperature"}),
        ("claude-opus-4-7", set()),
    ]:
        terms = anthropic_terms(model, "api.anthropic.com", searches=None)
        found, dropped = sent(OPENAI_CHAT, body, To(ANTHROPIC_MESSAGES, terms=terms))
        assert found.keys() & {"temperature", "top_p"} == kept
        assert set(dropped) == {"temperature", "top_p"} - kept
