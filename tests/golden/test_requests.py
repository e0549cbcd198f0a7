"""What Codex and others really send, for providers of other APIs: as their official types have it.

The recorded bodies stand beside the repository; skipped where they are not. Long lists of tools
have been cut in them, so the names of the rest are completed with small tools.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.dialects.translators import TranslatedRequest, translate
from gateway.providers.model_terms import anthropic_terms, openai_terms
from gateway.providers.presets.catalogue import refused_at
from tests.late import adapter

from ..core.dialects.canonical.recipient import To

FOLDER: Final = Path(__file__).parents[3] / "shared" / "requests"
TYPES: Final = {
    OPENAI_CHAT.name: ("openai", "types.chat.completion_create_params.Completion"),
    ANTHROPIC_MESSAGES.name: ("anthropic", "types.message_create_params.Message"),
    OPENAI_RESPONSES.name: ("openai", "types.responses.response_create_params.Response"),
}
# The SDKs' models say what is valid.
pytestmark = pytest.mark.slow

FUNCTION: Final = {"type": "function", "strict": False, "parameters": {"type": "object"}}


def bodies(pattern: str) -> list[Path]:
    found = sorted(FOLDER.glob(pattern))
    return [path for path in found if '"model"' in path.read_text().split("\n\n", 1)[-1]]


def completed(tools: list[Any], *, responses: bool) -> list[Any]:
    found: list[Any] = []
    for tool in tools:
        if isinstance(tool, str):
            for name in tool.rpartition("more: ")[2].rstrip("]").split(", "):
                if not name.replace("_", "").isalnum():
                    continue
                if not responses:
                    found.append({"name": name, "input_schema": {"type": "object"}})
                elif name == "web_search":
                    found.append({"type": name})
                elif name.startswith("multi_agent"):
                    inner = [FUNCTION | {"name": "spawn"}]
                    found.append({"type": "namespace", "name": name, "description": "d", "tools": inner})  # noqa: E501  # fmt: skip
                else:
                    found.append(FUNCTION | {"name": name})
            continue
        if "tools" in tool:
            tool["tools"] = completed(tool["tools"], responses=responses)
        found.append(tool)
    return found


def body_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text().split("\n\n", 1)[1])
    responses = "input" in found
    if "tools" in found:
        found["tools"] = completed(found["tools"], responses=responses)
    items = found.get("input")
    for item in items if isinstance(items, list) else []:
        if "tools" in item:
            item["tools"] = completed(item["tools"], responses=responses)
    return found | {"stream": True}


def translated(caller: Dialect, provider: Dialect, body: dict[str, Any], **to: Any) -> TranslatedRequest:  # noqa: E501  # fmt: skip
    request = caller.read_request(json.dumps(body).encode())
    return translate(request, caller, To(provider, **to), 1.0)


def valid(provider: Dialect, request: TranslatedRequest) -> dict[str, Any]:
    sent: dict[str, Any] = json.loads(request.inner.body)
    sdk, begins = TYPES[provider.name]
    adapter(sdk, f"{begins}CreateParamsStreaming").validate_python(sent)
    return sent


OTHERS: Final = pytest.mark.parametrize("provider", [OPENAI_CHAT, ANTHROPIC_MESSAGES], ids=lambda each: each.name)  # noqa: E501  # fmt: skip


@OTHERS
@pytest.mark.parametrize("path", bodies("*/*POST_v1_responses.txt"), ids=lambda path: path.name)
def test_responses_for_other_providers(path: Path, provider: Dialect) -> None:
    body = body_of(path)
    request = translated(OPENAI_RESPONSES, provider, body, reasoning="effort")
    sent = valid(provider, request)
    items = body["input"] if isinstance(body["input"], list) else [{"role": "user"}]
    said = [item for item in items if item.get("role") and item.get("type") != "additional_tools"]
    messages = sent["messages"]
    if provider is OPENAI_CHAT:
        assert len([each for each in messages if each["role"] in ("system", "user")]) == len(
            said
        ) + ("instructions" in body)
    calls = [item["call_id"] for item in items if item.get("type", "").endswith("tool_call") or item.get("type") == "function_call"]  # noqa: E501  # fmt: skip
    text = json.dumps(messages)
    for id in calls:
        # The call and its result.
        assert text.count(f'"{id}"') == 2
    offered = [tool.get("name") or tool["function"]["name"] for tool in sent.get("tools", [])]
    assert len(set(offered)) == len(offered)
    # Nothing that these APIs could say is left out.
    allowed = ("client_metadata", "tools.", "input.", "reasoning.", "prompt_cache_key", "text.verbosity", "truncation", "include")  # noqa: E501  # fmt: skip
    assert all(name.startswith(allowed) for name in request.dropped), request.dropped


@pytest.mark.parametrize("provider", [OPENAI_CHAT, OPENAI_RESPONSES], ids=lambda each: each.name)
@pytest.mark.parametrize(
    "path", bodies("claude-code-*/*POST_v1_messages.txt"), ids=lambda path: path.name
)
def test_claude_code_for_other_providers(path: Path, provider: Dialect) -> None:
    body = body_of(path)
    request = translated(ANTHROPIC_MESSAGES, provider, body, reasoning="effort")
    sent = valid(provider, request)
    key = "input" if provider is OPENAI_RESPONSES else "messages"
    text = json.dumps(sent[key])
    blocks = [
        block
        for message in body["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
    ]
    for block in blocks:
        if block["type"] == "tool_use":
            assert text.count(f'"{block["id"]}"') == 2
        elif block["type"] == "text" and block["text"]:
            assert json.dumps(block["text"]) in text
    if body.get("tools"):
        assert len(sent["tools"]) == len(body["tools"])
    schema = (body.get("output_config") or {}).get("format")
    if schema and provider is OPENAI_RESPONSES:
        assert sent["text"]["format"]["schema"] == schema["schema"]


# Real clients, all of them, on providers of every API...

BY_PATH: Final = {
    "chat_completions": OPENAI_CHAT,
    "v1_messages": ANTHROPIC_MESSAGES,
    "v1_responses": OPENAI_RESPONSES,
}
RECIPIENTS: Final[dict[str, list[dict[str, Any]]]] = {
    OPENAI_CHAT.name: [
        {},
        {"reasoning": "effort", "terms": openai_terms("gpt-5.1", "api.openai.com", OPENAI_CHAT, searches=None)},  # noqa: E501
        {"terms": openai_terms("x", "api.mistral.ai", OPENAI_CHAT, refused=refused_at("api.mistral.ai"))},  # noqa: E501
    ],
    ANTHROPIC_MESSAGES.name: [
        {},
        {"reasoning": "adaptive", "terms": anthropic_terms("claude-opus-4-7", "api.anthropic.com", searches=None)},  # noqa: E501
        {"reasoning": "budget", "terms": anthropic_terms("claude-sonnet-4-5", "api.anthropic.com", searches=None)},  # noqa: E501
    ],
    OPENAI_RESPONSES.name: [
        {},
        {"reasoning": "effort", "terms": openai_terms("gpt-5", "api.openai.com", OPENAI_RESPONSES, searches=None)},  # noqa: E501
    ],
}  # fmt: skip


def recorded() -> list[tuple[Path, Dialect]]:
    found = []
    for path in bodies("*/*POST_*.txt"):
        dialect = next((each for end, each in BY_PATH.items() if path.stem.endswith(end)), None)
        if dialect is not None:
            found.append((path, dialect))
    return found


def test_no_client_is_refused_by_default() -> None:
    """Every recorded request is served by every API, with what a configuration has by default."""
    if not FOLDER.exists():
        pytest.skip("the recorded requests are not there")
    pairs = 0
    for path, caller in recorded():
        for provider in (OPENAI_CHAT, ANTHROPIC_MESSAGES, OPENAI_RESPONSES):
            if provider is caller:
                continue
            for to in RECIPIENTS[provider.name]:
                request = translated(caller, provider, body_of(path), **to)
                valid(provider, request)
                pairs += 1
    assert pairs > 200
