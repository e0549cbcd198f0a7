"""What a chat completion request needs of its model.

The members are those of openai-python's `types/chat/completion_create_params.py`, and what other
servers have beside them to ask for reasoning: OpenRouter's `reasoning`, DeepSeek's `thinking`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ...wire.splice import JsonMember
from ..needs import NULL, fields_of, find_parts, type_of, values_of

_READ: Final = frozenset(
    {
        *("messages", "tools", "functions", "parallel_tool_calls", "response_format"),
        *("reasoning_effort", "reasoning", "thinking", "modalities", "audio"),
    }
)
# The types of parts, and what they need.
_KINDS: Final = {"image_url": "images", "input_audio": "audio", "file": "documents"}
_OFF: Final = frozenset({b'"none"', b"null", b"false", b"0"})


class _Message(msgspec.Struct):
    role: str = ""
    content: msgspec.Raw = NULL
    tool_calls: list[msgspec.Raw] | None = None


_MESSAGES: Final = msgspec.json.Decoder(list[_Message])


def read_needs(body: bytes, members: Sequence[JsonMember]) -> dict[str, str]:
    """Return where the request in `body` asks for what it needs, by the names of `Needs`."""
    values = values_of(body, members, _READ)
    found = _in_messages(values.get("messages", b""))
    for name in ("functions", "tools"):
        if name in values:
            found["tools"] = name
    if values.get("parallel_tool_calls") == b"true" and "tools" in values:
        found["parallel_tools"] = "parallel_tool_calls"
    if type_of(values.get("response_format", b"{}")) == "json_schema":
        found["structured_output"] = "response_format"
    if b'"audio"' in values.get("modalities", b"") or "audio" in values:
        found["audio"] = "modalities" if "modalities" in values else "audio"
    if (thinking := _thinking(values)) is not None:
        found["thinking"] = thinking
    return found


def _in_messages(raw: bytes) -> dict[str, str]:
    if not raw:
        return {}
    try:
        messages = _MESSAGES.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        # Of another form than the API has: the provider says what is wrong with it.
        return {}
    found = find_parts(
        ((f"messages.{number}.content", each.content) for number, each in enumerate(messages)),
        _KINDS,
    )
    for number, message in enumerate(messages):
        if message.tool_calls or message.role in ("tool", "function"):
            found.setdefault("tools", f"messages.{number}")
        if len(message.tool_calls or ()) > 1:
            found.setdefault("parallel_tools", f"messages.{number}.tool_calls")
    return found


def _thinking(values: Mapping[str, bytes]) -> str | None:
    """Return the member that asks for reasoning; None if none does."""
    if values.get("reasoning_effort", b"null") not in _OFF:
        return "reasoning_effort"
    if type_of(values.get("thinking", b"{}")) in ("enabled", "adaptive"):
        return "thinking"
    reasoning = fields_of(values.get("reasoning", b"{}"))
    asked = [bytes(reasoning[name]) for name in ("enabled", "effort") if name in reasoning]
    if "max_tokens" in reasoning or asked:
        return None if any(each in _OFF for each in asked) else "reasoning"
    return None
