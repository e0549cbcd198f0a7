"""What a chat in Cohere's API needs of its model (`v2/raw_client.py`, `chat`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from ...wire.splice import JsonMember
from ..needs import NULL, find_parts, type_of, values_of

_READ: Final = frozenset({"messages", "tools", "thinking", "response_format"})
_KINDS: Final = {"image_url": "images"}
_EMPTY: Final = (b"null", b"[]")


class _Message(msgspec.Struct):
    role: str = ""
    content: msgspec.Raw = NULL
    tool_calls: msgspec.Raw = NULL


_MESSAGES: Final = msgspec.json.Decoder(list[_Message])
_CALLS: Final = msgspec.json.Decoder(list[msgspec.Raw])


def read_needs(body: bytes, members: Sequence[JsonMember]) -> dict[str, str]:
    """Return where the request in `body` asks for what it needs, by the names of `Needs`."""
    values = values_of(body, members, _READ)
    found = _in_messages(values.get("messages", b"[]"))
    if "tools" in values:
        found["tools"] = "tools"
    if type_of(values.get("response_format", b"{}")) == "json_object":
        found["structured_output"] = "response_format"
    if type_of(values.get("thinking", b"{}")) == "enabled":
        found["thinking"] = "thinking"
    return found


def _in_messages(raw: bytes) -> dict[str, str]:
    try:
        messages = _MESSAGES.decode(raw)
        found = find_parts(
            [(f"messages.{n}.content", each.content) for n, each in enumerate(messages)], _KINDS
        )
        for number, each in enumerate(messages):
            called = bytes(each.tool_calls) not in _EMPTY
            if called or each.role == "tool":
                found.setdefault("tools", f"messages.{number}")
            if called and len(_CALLS.decode(each.tool_calls)) > 1:
                found.setdefault("parallel_tools", f"messages.{number}.tool_calls")
    except (msgspec.DecodeError, RecursionError):
        # Of another form than the API has: the provider says what is wrong with it.
        return {}
    return found
