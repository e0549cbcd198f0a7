"""The messages of a chat in Ollama's API, read (api/types.go, `Message`).

Calls have no ids there: a result says which tool it is of, and calls of one tool are answered in
their order.
"""

from __future__ import annotations

from typing import Final, cast

import msgspec

from .....errors import InvalidRequest
from ...canonical.call import Block, Image, Role, Text, Thinking, ToolCall, ToolResult, Turn
from ...canonical.fidelity import Fidelity
from ...canonical.reading import Fields, fields_of, is_text, items_of, member_text, text_of

_Raw = msgspec.Raw

_ROLES: Final = frozenset({"system", "user", "assistant"})
_KNOWN: Final = frozenset(
    {
        *("role", "content", "thinking", "images", "tool_calls", "tool_name", "name"),
        "tool_call_id",
    }
)
# How the base64 of the kinds of images begins that models read.
_KINDS: Final = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lG": "image/gif",
    "UklG": "image/webp",
}


class MessageReader:
    """Reads the messages of one request."""

    def __init__(self, fidelity: Fidelity) -> None:
        self._fidelity = fidelity
        # Calls that no result has come for: their ids, and the names of their tools.
        self._open: dict[str, str] = {}
        self._calls = 0

    def read(self, raw: _Raw) -> list[Turn]:
        """Return the turns; results of tools are turns of the user."""
        found = []
        for number, item in enumerate(items_of(raw, "messages")):
            path = f"messages.{number}"
            found.append(self._turn(fields_of(item, path), path))
        return found

    def _turn(self, message: Fields, path: str) -> Turn:
        role = member_text(message, "role", path)
        for name in sorted(message.keys() - _KNOWN):
            self._fidelity.hint(f"{path}.{name}")
        blocks: list[Block] = []
        if role == "assistant" and (thinking := member_text(message, "thinking", path, "")):
            blocks.append(Thinking(thinking))
        if text := member_text(message, "content", path, ""):
            blocks.append(Text(text))
        blocks += images_of(message, path)
        if role == "tool":
            return Turn("user", [self._result(message, blocks, path)], path=path)
        if role not in _ROLES:
            raise InvalidRequest(f"{path}.role: {role!r} is no role", param=f"{path}.role")
        if role == "assistant":
            blocks += self._called(message, path)
        return Turn(cast("Role", role), blocks, path=path)

    def _result(self, message: Fields, blocks: list[Block], path: str) -> ToolResult:
        name = member_text(message, "tool_name", path, "") or member_text(message, "name", path, "")
        id = member_text(message, "tool_call_id", path, "")
        if id not in self._open:
            of_name = (each for each, called in self._open.items() if called == name)
            id = next(of_name, "") or next(iter(self._open), "")
        if not id:
            raise InvalidRequest(f"{path}: there is no call that it is the result of", param=path)
        del self._open[id]
        return ToolResult(id, blocks)

    def _called(self, message: Fields, path: str) -> list[Block]:
        found: list[Block] = []
        calls = items_of(message.get("tool_calls", _Raw(b"[]")), f"{path}.tool_calls")
        for number, item in enumerate(calls):
            where = f"{path}.tool_calls.{number}"
            call = fields_of(item, where)
            function = fields_of(call.get("function", _Raw(b"0")), f"{where}.function")
            raw = function.get("arguments", _Raw(b"{}"))
            text = text_of(raw, where) if is_text(raw) else bytes(raw).decode("utf-8", "replace")
            name = member_text(function, "name", f"{where}.function")
            id = member_text(call, "id", where, "") or f"call_{self._calls}"
            self._calls += 1
            self._open[id] = name
            found.append(ToolCall(id, name, text))
        return found


def images_of(fields: Fields, path: str) -> list[Image]:
    """Return the images of a message, or of a prompt: base64 without a type."""
    found = []
    where = f"{path}.images" if path else "images"
    for number, item in enumerate(items_of(fields.get("images", _Raw(b"[]")), where)):
        data = text_of(item, f"{where}.{number}")
        kinds = (kind for begins, kind in _KINDS.items() if data.startswith(begins))
        found.append(Image(data=data, media_type=next(kinds, "image/png")))
    return found
