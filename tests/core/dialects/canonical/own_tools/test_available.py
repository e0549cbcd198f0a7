"""Tools that a provider runs itself, offered and forced, for providers that have them or not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.model_terms import ModelTerms
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.dialects.translators import TranslatedRequest, Untranslatable, translate

from ..recipient import To

SEARCHES = ModelTerms(searches=True)
BERLIN = {"city": "Berlin", "country": "DE", "timezone": "Europe/Berlin"}
HERE = {"type": "approximate", **BERLIN}
MESSAGES_SEARCH = {"type": "web_search_20260209", "name": "web_search", "max_uses": 3, "allowed_domains": ["a.example"], "user_location": HERE}  # noqa: E501  # fmt: skip
RESPONSES_SEARCH = {"type": "web_search_preview", "search_context_size": "low", "filters": {"allowed_domains": ["a.example"]}, "user_location": HERE}  # noqa: E501  # fmt: skip
CHAT_SEARCH = {"search_context_size": "low", "user_location": {"type": "approximate", "approximate": BERLIN}}  # noqa: E501  # fmt: skip
FUNCTION = {"name": "f", "input_schema": {"type": "object"}}


def asked(caller: Dialect, provider: Dialect, body: dict[str, Any], **to: Any) -> TranslatedRequest:
    said: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
    if caller is OPENAI_RESPONSES:
        said = {"input": "Hi"}
    request = caller.read_request(json.dumps({"model": "m"} | said | body).encode())
    return translate(request, caller, To(provider, **to), 0.0)


def sent(caller: Dialect, provider: Dialect, body: dict[str, Any], **to: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(asked(caller, provider, body, **to).inner.body)
    return found


BODIES: dict[str, dict[str, Any]] = {
    OPENAI_CHAT.name: {"web_search_options": CHAT_SEARCH},
    ANTHROPIC_MESSAGES.name: {"tools": [MESSAGES_SEARCH]},
    OPENAI_RESPONSES.name: {"tools": [RESPONSES_SEARCH], "max_tool_calls": 3},
}


def searched(provider: Dialect, body: dict[str, Any]) -> Any:
    if provider is OPENAI_CHAT:
        return body.get("web_search_options")
    return next((tool for tool in body.get("tools", []) if "search" in tool["type"]), None)


DIALECTS = (OPENAI_CHAT, ANTHROPIC_MESSAGES, OPENAI_RESPONSES)


@pytest.mark.parametrize("caller", DIALECTS, ids=lambda each: each.name)
def test_a_search_goes_to_providers_that_have_it_and_is_left_out_elsewhere(caller: Dialect) -> None:
    for provider in DIALECTS:
        if provider is caller:
            continue
        body = BODIES[caller.name]
        if provider is OPENAI_CHAT:
            # Its search has no list of pages.
            plain = dict(body["tools"][0])
            plain.pop("allowed_domains", None)
            plain.pop("filters", None)
            body = body | {"tools": [plain]}
        found = searched(provider, sent(caller, provider, body, terms=SEARCHES))
        where = found["user_location"]
        assert where.get("approximate", where) == (BERLIN if provider is OPENAI_CHAT else HERE)
        without = asked(caller, provider, body)
        assert searched(provider, json.loads(without.inner.body)) is None
        assert [name for name in without.dropped if "search" in name] == (
            ["web_search_options"]
            if caller is OPENAI_CHAT
            else [f"tools.0 ({body['tools'][0]['type']})"]
        )


def test_what_a_search_is_asked_with() -> None:
    there = sent(ANTHROPIC_MESSAGES, OPENAI_RESPONSES, {"tools": [MESSAGES_SEARCH]}, terms=SEARCHES)
    assert there["tools"] == [{"type": "web_search", "filters": {"allowed_domains": ["a.example"]}, "user_location": HERE}]  # noqa: E501  # fmt: skip
    assert there["max_tool_calls"] == 3
    back = sent(OPENAI_RESPONSES, ANTHROPIC_MESSAGES, {k: there[k] for k in ("tools", "max_tool_calls")}, terms=SEARCHES)  # noqa: E501  # fmt: skip
    assert back["tools"] == [MESSAGES_SEARCH | {"type": "web_search_20250305"}]
    blocked = {"type": "web_search_20250305", "name": "web_search", "blocked_domains": ["b.example"]}  # noqa: E501  # fmt: skip
    for provider in (OPENAI_CHAT, OPENAI_RESPONSES):
        with pytest.raises(Untranslatable) as caught:
            asked(ANTHROPIC_MESSAGES, provider, {"tools": [blocked]}, terms=SEARCHES)
        assert caught.value.member == "tools.0.blocked_domains"


def test_a_search_without_the_web_goes_nowhere_else() -> None:
    tools = [{"type": "web_search", "external_web_access": False}]
    request = asked(OPENAI_RESPONSES, ANTHROPIC_MESSAGES, {"tools": tools}, terms=SEARCHES)
    assert "tools" not in json.loads(request.inner.body)
    assert request.dropped == ("tools.0 (web_search)",)


def test_a_function_of_that_name_goes_before_the_search() -> None:
    tools = [{"type": "function", "name": "web_search"}, {"type": "web_search"}]
    request = asked(OPENAI_RESPONSES, ANTHROPIC_MESSAGES, {"tools": tools}, terms=SEARCHES)
    assert [tool["name"] for tool in json.loads(request.inner.body)["tools"]] == ["web_search"]
    assert request.dropped == ("tools.1 (web_search)",)


FORCED: list[tuple[Dialect, dict[str, Any], str]] = [
    (ANTHROPIC_MESSAGES, {"tools": [MESSAGES_SEARCH, FUNCTION], "tool_choice": {"type": "tool", "name": "web_search"}}, "tools.0 (web_search_20260209)"),  # noqa: E501
    (ANTHROPIC_MESSAGES, {"tools": [{"type": "bash_20250124", "name": "bash"}, FUNCTION], "tool_choice": {"type": "tool", "name": "bash"}}, "tools.0 (bash_20250124)"),  # noqa: E501
    (ANTHROPIC_MESSAGES, {"tools": [MESSAGES_SEARCH], "tool_choice": {"type": "any"}}, "tool_choice"),  # noqa: E501
    (OPENAI_RESPONSES, {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}}, "tools.0 (web_search)"),  # noqa: E501
    (OPENAI_RESPONSES, {"tools": [{"type": "code_interpreter"}, {"type": "function", "name": "f"}], "tool_choice": {"type": "code_interpreter"}}, "tools.0 (code_interpreter)"),  # noqa: E501
    (OPENAI_RESPONSES, {"tools": [{"type": "web_search"}, {"type": "function", "name": "f"}], "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]}}, "tool_choice"),  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize(("caller", "body", "member"), FORCED)
def test_one_that_must_be_called_is_refused(
    caller: Dialect, body: dict[str, Any], member: str
) -> None:
    for provider in DIALECTS:
        if provider is caller:
            continue
        with pytest.raises(Untranslatable) as caught:
            asked(caller, provider, body)
        assert caught.value.member == member
        request = asked(caller, provider, body, drops=True)
        assert member in request.dropped
        choice = json.loads(request.inner.body).get("tool_choice")
        allowed = "allowed_tools" in json.dumps(body)
        assert choice in ((None, "none", {"type": "none"}) if allowed else (None,))


def test_a_forced_search_is_forced() -> None:
    forced = FORCED[0][1]
    found = sent(
        ANTHROPIC_MESSAGES, OPENAI_RESPONSES, forced | {"tools": [MESSAGES_SEARCH]}, terms=SEARCHES
    )
    assert found["tool_choice"] == {"type": "web_search"}
    found = sent(OPENAI_RESPONSES, ANTHROPIC_MESSAGES, FORCED[3][1], terms=SEARCHES)
    assert found["tool_choice"] == {"type": "tool", "name": "web_search"}
    found = sent(OPENAI_RESPONSES, ANTHROPIC_MESSAGES, FORCED[5][1], terms=SEARCHES)
    assert [tool["name"] for tool in found["tools"]] == ["web_search"]
    assert found["tool_choice"] == {"type": "any"}


def test_no_tool_may_be_called_and_none_is_missed() -> None:
    body = {"tools": [MESSAGES_SEARCH], "tool_choice": {"type": "none"}}
    assert asked(ANTHROPIC_MESSAGES, OPENAI_CHAT, body).dropped == ()
