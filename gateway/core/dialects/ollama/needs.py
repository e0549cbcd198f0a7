"""What a request in Ollama's API needs of its model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from ...wire.splice import JsonMember
from ..needs import NULL, values_of

_READ: Final = frozenset({"messages", "images", "tools", "format", "think"})
_EMPTY: Final = frozenset({b"null", b"[]"})


class _Message(msgspec.Struct):
    role: str = ""
    images: msgspec.Raw = NULL
    tool_calls: msgspec.Raw = NULL


_MESSAGES: Final = msgspec.json.Decoder(list[_Message])


def read_needs(body: bytes, members: Sequence[JsonMember]) -> dict[str, str]:
    """Return where the request in `body` asks for what it needs, by the names of `Needs`."""
    values = values_of(body, members, _READ)
    found: dict[str, str] = {}
    for number, message in enumerate(_messages(values.get("messages", b"[]"))):
        if bytes(message.images) not in _EMPTY:
            found.setdefault("images", f"messages.{number}.images")
        if message.role == "tool" or bytes(message.tool_calls) not in _EMPTY:
            found.setdefault("tools", f"messages.{number}")
    if values.get("images", b"[]") not in _EMPTY:
        found["images"] = "images"
    if values.get("tools", b"[]") not in _EMPTY:
        found["tools"] = "tools"
    if values.get("format", b"").startswith(b"{"):
        found["structured_output"] = "format"
    if values.get("think", b"false") not in (b"false", b'""'):
        found["thinking"] = "think"
    return found


def _messages(raw: bytes) -> list[_Message]:
    try:
        return _MESSAGES.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        # Of another form than the API has: the provider says what is wrong with it.
        return []
