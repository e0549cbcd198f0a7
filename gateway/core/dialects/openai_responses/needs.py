"""What a request for a response needs of its model.

The members are those of openai-python's `types/responses/response_create_params.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from ...wire.splice import JsonMember
from ..needs import NULL, fields_of, find_parts, type_of, values_of

_READ: Final = frozenset({"input", "tools", "parallel_tool_calls", "text", "reasoning"})
# The types of parts, and what they need.
_KINDS: Final = {"input_image": "images", "input_file": "documents", "input_audio": "audio"}
_CALLS: Final = frozenset({"function_call", "custom_tool_call"})
_OFF: Final = frozenset({b'"none"', b"null"})


class _Item(msgspec.Struct):
    type: str = ""
    content: msgspec.Raw = NULL
    output: msgspec.Raw = NULL


_ITEMS: Final = msgspec.json.Decoder(list[_Item])


def read_needs(body: bytes, members: Sequence[JsonMember]) -> dict[str, str]:
    """Return where the request in `body` asks for what it needs, by the names of `Needs`."""
    values = values_of(body, members, _READ)
    found = _in_items(values.get("input", b""))
    if "tools" in values:
        found["tools"] = "tools"
    if values.get("parallel_tool_calls") == b"true" and "tools" in values:
        found["parallel_tools"] = "parallel_tool_calls"
    if type_of(fields_of(values.get("text", b"{}")).get("format", NULL)) == "json_schema":
        found["structured_output"] = "text.format"
    effort = fields_of(values.get("reasoning", b"{}")).get("effort", NULL)
    if bytes(effort) not in _OFF:
        found["thinking"] = "reasoning"
    return found


def _in_items(raw: bytes) -> dict[str, str]:
    if not raw.startswith(b"["):
        return {}
    try:
        items = _ITEMS.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        # Of another form than the API has: the provider says what is wrong with it.
        return {}
    found: dict[str, str] = {}
    before = False
    for number, item in enumerate(items):
        path = f"input.{number}"
        parts = [(f"{path}.content", item.content), (f"{path}.output", item.output)]
        found = find_parts(parts, _KINDS) | found
        if item.type in _KINDS:
            found.setdefault(_KINDS[item.type], path)
        calls = item.type in _CALLS
        if calls:
            found.setdefault("tools", path)
        if calls and before:
            # Several in a row are of one answer.
            found.setdefault("parallel_tools", path)
        before = calls
    return found
