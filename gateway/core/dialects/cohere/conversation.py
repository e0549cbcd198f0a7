"""A chat in Cohere's API and its answer as a conversation, for a person to read.

Its messages are those of OpenAI's chats but for the thinking, which is a part of the content, and
the plan that stands before calls. So they are read as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ..conversation import Conversation, ConversationTurn
from ..json_reading import decoded, items, member, text
from ..openai_chat import conversation as chat


def read_request(body: bytes) -> Conversation:
    """Return what was asked; an empty conversation if the body cannot be read."""
    document = decoded(body)
    if not isinstance(document, dict):
        return Conversation()
    messages = [_as_chat(each) for each in items(document.get("messages"))]
    return chat.read_request(msgspec.json.encode({**document, "messages": messages}))


def read_answer(body: bytes) -> list[ConversationTurn]:
    """Return a whole answer's turn; none if it is no answer."""
    document = decoded(body)
    if not isinstance(member(document, "message"), dict):
        return []
    end = member(document, "finish_reason")
    choice = {"message": _as_chat(document["message"]), "finish_reason": end}
    return chat.read_answer(msgspec.json.encode({"choices": [choice]}))


def read_stream(events: Iterable[bytes]) -> list[ConversationTurn]:
    """Return the turn that a stream's events come to."""
    choices = (each for data in events for each in _chunk(decoded(data)))
    return chat.read_stream(msgspec.json.encode({"choices": [each]}) for each in choices)


def _chunk(event: Any) -> Iterator[dict[str, Any]]:
    delta = member(event, "delta")
    said = member(delta, "message")
    content, calls = member(said, "content"), member(said, "tool_calls")
    if thought := text(member(content, "thinking")):
        yield {"delta": {"reasoning_content": thought}}
    if spoken := text(member(content, "text")) or text(member(said, "tool_plan")):
        yield {"delta": {"content": spoken}}
    if isinstance(calls, dict):
        yield {"delta": {"tool_calls": [{**calls, "index": member(event, "index")}]}}
    if end := member(delta, "finish_reason"):
        yield {"delta": {}, "finish_reason": end}


def _as_chat(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    content = message.get("content")
    found = {name: value for name, value in message.items() if name != "tool_plan"}
    if isinstance(content, list):
        thought = "".join(text(member(each, "thinking")) for each in content)
        found["content"] = [each for each in content if member(each, "type") != "thinking"]
        if thought:
            found["reasoning_content"] = thought
    if plan := text(message.get("tool_plan")):
        rest = content if isinstance(content, str) else ""
        kept = found.get("content") if isinstance(content, list) else []
        found["content"] = [{"type": "text", "text": plan + rest}, *items(kept)]
    return found
