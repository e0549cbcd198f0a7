"""The messages of a chat, read (openai-python `types/chat/chat_completion_message_param.py`)."""

from __future__ import annotations

from typing import Final, cast

import msgspec

from .....errors import InvalidRequest
from ...canonical.call import (
    Audio,
    Block,
    Document,
    Image,
    RefusalText,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from ...canonical.data_url import data_of_url
from ...canonical.fidelity import Fidelity
from ...canonical.opaque import untagged
from ...canonical.reading import Fields, fields_of, is_text, items_of, member_text, text_of
from .citations import read_annotations

_Raw = msgspec.Raw

_ROLES: Final = frozenset({"system", "developer", "user", "assistant"})
# Where OpenRouter's clients keep reasoning that is to be sent back (openrouter.ai/docs, "Reasoning
# tokens"), and where those of DeepSeek do.
_DETAILS: Final = "reasoning_details"
_REASONING: Final = ("reasoning_content", "reasoning")
_KNOWN: Final = frozenset(
    {
        *("role", "content", "tool_calls", "function_call", "tool_call_id", "refusal"),
        *("cache_control", "annotations", _DETAILS, *_REASONING),
    }
)


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
        # Names of participants, `audio` of earlier answers.
        if name != "name" or role != "function":
            fidelity.hint(f"{path}.{name}")
    blocks = read_content(message, path, fidelity)
    if role in ("tool", "function"):
        id = "tool_call_id" if role == "tool" else "name"
        result = ToolResult(member_text(message, id, path), blocks)
        result.cache = message.get("cache_control")
        return Turn("user", [result], path=path)
    if role not in _ROLES:
        raise InvalidRequest(f"{path}.role: {role!r} is no role", param=f"{path}.role")
    if "cache_control" in message and blocks and isinstance(blocks[-1], Text | Image | Document):
        blocks[-1].cache = message["cache_control"]
    if role == "assistant":
        _cite(message, blocks)
        blocks = [*_thinking(message, path, fidelity), *blocks, *_refusal(message, path)]
        blocks += _calls(message, path, fidelity)
    return Turn(cast("Role", role), blocks, path=path)


def read_content(message: Fields, path: str, fidelity: Fidelity) -> list[Block]:
    if "content" not in message:
        return []
    raw, path = message["content"], f"{path}.content"
    if is_text(raw):
        text = text_of(raw, path)
        return [Text(text)] if text else []
    found: list[Block] = []
    for number, item in enumerate(items_of(raw, path)):
        where = f"{path}.{number}"
        if is_text(item):
            found.append(Text(text_of(item, where)))
            continue
        part = _part(fields_of(item, where), where, fidelity)
        if part is not None:
            found.append(part)
    return found


def _part(part: Fields, path: str, fidelity: Fidelity) -> Block | None:
    kind = member_text(part, "type", path, "text")
    cache = part.get("cache_control")
    if kind == "text":
        return Text(member_text(part, "text", path), cache)
    if kind == "refusal":
        return RefusalText(member_text(part, "refusal", path))
    if kind == "image_url":
        return _image(part, path, cache)
    if kind == "input_audio":
        audio = fields_of(part.get("input_audio", _Raw(b"0")), f"{path}.input_audio")
        data = member_text(audio, "data", f"{path}.input_audio")
        return Audio(data, member_text(audio, "format", f"{path}.input_audio", "wav"))
    if kind == "file":
        return _file(part, path, cache, fidelity)
    fidelity.demand(f"{path} ({kind})", "parts of this type cannot be translated")
    return None


def _image(part: Fields, path: str, cache: _Raw | None) -> Image:
    raw, where = part.get("image_url", _Raw(b"0")), f"{path}.image_url"
    image: Fields = {"url": raw} if is_text(raw) else fields_of(raw, where)
    url = member_text(image, "url", where)
    detail = member_text(image, "detail", where, "") or None
    media, data = data_of_url(url)
    if data is None:
        return Image(url=url, detail=detail, cache=cache)
    return Image(data=data, media_type=media, detail=detail, cache=cache)


def _file(part: Fields, path: str, cache: _Raw | None, fidelity: Fidelity) -> Document | None:
    where = f"{path}.file"
    file = fields_of(part.get("file", _Raw(b"0")), where)
    title = member_text(file, "filename", where, "") or None
    if "file_data" not in file:
        return Document(id=member_text(file, "file_id", where), title=title, cache=cache)
    given = member_text(file, "file_data", where)
    media, data = data_of_url(given)
    if given.startswith(("http://", "https://")):
        return Document(url=given, title=title, cache=cache)
    # Without a type in front it is what most files are.
    data = given if data is None else data
    return Document(data=data, media_type=media or "application/pdf", title=title, cache=cache)


def _cite(message: Fields, blocks: list[Block]) -> None:
    """Give what an earlier answer cites to its text, which is one as answers have it."""
    texts = [block for block in blocks if isinstance(block, Text)]
    if "annotations" in message and len(texts) == 1:
        texts[0].citations = read_annotations(message["annotations"])


def _refusal(message: Fields, path: str) -> list[Block]:
    text = member_text(message, "refusal", path, "")
    return [RefusalText(text)] if text else []


def _thinking(message: Fields, path: str, fidelity: Fidelity) -> list[Block]:
    if _DETAILS in message:
        found: list[Block] = []
        for number, item in enumerate(items_of(message[_DETAILS], f"{path}.{_DETAILS}")):
            where = f"{path}.{_DETAILS}.{number}"
            detail = fields_of(item, where)
            kind = member_text(detail, "type", where, "")
            if kind == "reasoning.text":
                family, signature = untagged(member_text(detail, "signature", where, ""))
                text = member_text(detail, "text", where, "")
                found.append(Thinking(text, family, signature))
            elif kind == "reasoning.encrypted":
                family, data = untagged(member_text(detail, "data", where, ""))
                found.append(Thinking("", family, data, encrypted=True))
        if found:
            return found
    for name in _REASONING:
        if name in message and is_text(message[name]):
            text = text_of(message[name], f"{path}.{name}")
            return [Thinking(text)] if text else []
    return []


def _calls(message: Fields, path: str, fidelity: Fidelity) -> list[Block]:
    found: list[Block] = []
    for number, item in enumerate(
        items_of(message.get("tool_calls", _Raw(b"[]")), f"{path}.tool_calls")
    ):
        where = f"{path}.tool_calls.{number}"
        call = fields_of(item, where)
        custom = member_text(call, "type", where, "function") == "custom"
        inner = "custom" if custom else "function"
        function = fields_of(call.get(inner, _Raw(b"0")), f"{where}.{inner}")
        for name in sorted(call.keys() - {"id", "type", "index", inner}):
            # Gemini's `extra_content`, whose signature only Gemini takes.
            fidelity.hint(f"{where}.{name}")
        text = arguments_of(function.get("input" if custom else "arguments"), where)
        name = member_text(function, "name", f"{where}.{inner}")
        found.append(ToolCall(member_text(call, "id", where), name, text, custom=custom))
    if "function_call" in message:
        where = f"{path}.function_call"
        function = fields_of(message["function_call"], where)
        name = member_text(function, "name", where)
        # The old form has no ids: the result names the function.
        found.append(ToolCall(name, name, arguments_of(function.get("arguments"), where)))
    return found


def arguments_of(raw: _Raw | None, path: str) -> str:
    """Return the text of a call's arguments, which some servers send as an object."""
    if raw is None:
        return ""
    return text_of(raw, path) if is_text(raw) else bytes(raw).decode("utf-8", "replace")
