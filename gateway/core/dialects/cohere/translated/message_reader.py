"""The messages of a chat in Cohere's API, read (`types/chat_message_v2.py`)."""

from __future__ import annotations

from typing import Final, cast

import msgspec

from .....errors import InvalidRequest
from ...canonical.call import (
    Block,
    Document,
    Image,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from ...canonical.data_url import data_of_url
from ...canonical.fidelity import Fidelity
from ...canonical.opaque import restored_id
from ...canonical.reading import Fields, fields_of, is_text, items_of, member_text, text_of
from .documents import read_document

_Raw = msgspec.Raw

_ROLES: Final = frozenset({"system", "user", "assistant"})
_KNOWN: Final = frozenset({"role", "content", "tool_calls", "tool_plan", "tool_call_id"})


def read_messages(raw: _Raw, fidelity: Fidelity) -> list[Turn]:
    """Return the turns; results of tools are turns of the user."""
    found = []
    for number, item in enumerate(items_of(raw, "messages")):
        path = f"messages.{number}"
        found.append(_turn(fields_of(item, path), path, fidelity))
    return found


def _turn(message: Fields, path: str, fidelity: Fidelity) -> Turn:
    role = member_text(message, "role", path)
    for name in sorted(message.keys() - _KNOWN):
        # What an earlier answer cites points to documents of its own request.
        fidelity.hint(f"{path}.{name}")
    blocks = _content(message, path, fidelity)
    if role == "tool":
        # Which is how its guide writes a result: for another API it is the text of one.
        blocks = [Text(each.text or "") if isinstance(each, Document) else each for each in blocks]
        id = restored_id(member_text(message, "tool_call_id", path))
        return Turn("user", [ToolResult(id, blocks)], path=path)
    if role not in _ROLES:
        raise InvalidRequest(f"{path}.role: {role!r} is no role", param=f"{path}.role")
    if role == "assistant":
        plan = member_text(message, "tool_plan", path, "")
        # What it says before it calls.
        blocks += [*([Text(plan)] if plan else []), *_calls(message, path)]
    return Turn(cast("Role", role), blocks, path=path)


def _content(message: Fields, path: str, fidelity: Fidelity) -> list[Block]:
    if "content" not in message:
        return []
    raw, path = message["content"], f"{path}.content"
    if is_text(raw):
        text = text_of(raw, path)
        return [Text(text)] if text else []
    found = []
    for number, item in enumerate(items_of(raw, path)):
        where = f"{path}.{number}"
        part = _part(fields_of(item, where), where, fidelity)
        if part is not None:
            found.append(part)
    return found


def _part(part: Fields, path: str, fidelity: Fidelity) -> Block | None:
    kind = member_text(part, "type", path, "text")
    if kind == "text":
        return Text(member_text(part, "text", path))
    if kind == "thinking":
        return Thinking(member_text(part, "thinking", path))
    if kind == "image_url":
        return _image(part, path)
    if kind == "document":
        return read_document(part.get("document", _Raw(b"0")), f"{path}.document")
    fidelity.demand(f"{path} ({kind})", "parts of this type cannot be translated")
    return None


def _image(part: Fields, path: str) -> Image:
    raw, where = part.get("image_url", _Raw(b"0")), f"{path}.image_url"
    image: Fields = {"url": raw} if is_text(raw) else fields_of(raw, where)
    url = member_text(image, "url", where)
    detail = member_text(image, "detail", where, "") or None
    media, data = data_of_url(url)
    if data is None:
        return Image(url=url, detail=detail)
    return Image(data=data, media_type=media, detail=detail)


def _calls(message: Fields, path: str) -> list[Block]:
    found: list[Block] = []
    calls = items_of(message.get("tool_calls", _Raw(b"[]")), f"{path}.tool_calls")
    for number, item in enumerate(calls):
        where = f"{path}.tool_calls.{number}"
        call = fields_of(item, where)
        function = fields_of(call.get("function", _Raw(b"0")), f"{where}.function")
        raw = function.get("arguments", _Raw(b'""'))
        text = text_of(raw, where) if is_text(raw) else bytes(raw).decode("utf-8", "replace")
        id = restored_id(member_text(call, "id", where))
        found.append(ToolCall(id, member_text(function, "name", f"{where}.function"), text))
    return found
