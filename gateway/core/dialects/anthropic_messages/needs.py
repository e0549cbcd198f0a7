"""What a request for a message needs of its model.

The members are those of anthropic-sdk-python's `types/message_create_params.py`; `output_format`
is what `output_config.format` was called in its beta.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from ...wire.splice import JsonMember
from ..needs import NULL, fields_of, find_parts, type_of, values_of

_READ: Final = frozenset({"messages", "tools", "thinking", "output_config", "output_format"})
# The types of blocks, and what they need.
_KINDS: Final = {"image": "images", "document": "documents"}
_CALL: Final = "tool_use"


class _Message(msgspec.Struct):
    content: msgspec.Raw = NULL


class _Block(msgspec.Struct):
    type: str = ""


_MESSAGES: Final = msgspec.json.Decoder(list[_Message])
_BLOCKS: Final = msgspec.json.Decoder(list[_Block])


def read_needs(body: bytes, members: Sequence[JsonMember]) -> dict[str, str]:
    """Return where the request in `body` asks for what it needs, by the names of `Needs`."""
    values = values_of(body, members, _READ)
    found = _in_messages(values.get("messages", b""))
    if "tools" in values:
        found["tools"] = "tools"
    if "output_format" in values:
        found["structured_output"] = "output_format"
    config = fields_of(values.get("output_config", b"{}"))
    if bytes(config.get("format", NULL)) != bytes(NULL):
        found["structured_output"] = "output_config.format"
    if type_of(values.get("thinking", b"{}")) in ("enabled", "adaptive"):
        found["thinking"] = "thinking"
    return found


def _in_messages(raw: bytes) -> dict[str, str]:
    if not raw:
        return {}
    try:
        messages = _MESSAGES.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        # Of another form than the API has: the provider says what is wrong with it.
        return {}
    contents = [
        (f"messages.{number}.content", each.content) for number, each in enumerate(messages)
    ]
    found = find_parts(contents, _KINDS)
    for path, content in contents:
        calls = _calls(content)
        if calls:
            found.setdefault("tools", path)
        if calls > 1:
            found.setdefault("parallel_tools", path)
    return found


def _calls(content: msgspec.Raw) -> int:
    """Return how many calls of tools stand in a message."""
    if f'"{_CALL}"'.encode() not in bytes(content):
        return 0
    try:
        return sum(1 for each in _BLOCKS.decode(content) if each.type == _CALL)
    except (msgspec.DecodeError, RecursionError):
        return 0
