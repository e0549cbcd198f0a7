"""The parts of contents, read (`types.py`, Part)."""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from .....errors import InvalidRequest
from ...canonical.call import Audio, Block, Document, Image, Text, Thinking, ToolCall, ToolResult
from ...canonical.fidelity import Fidelity
from ...canonical.reading import Fields, fields_of, is_text, is_true, member_text, text_of
from ..state.carried_state import is_carried, released
from .call_ids import CallIds
from .members import listed, members_of

_Raw = msgspec.Raw
_NOTHING: Final = _Raw(b"{}")
# What Google's servers did themselves: no call of the caller's, and its result is no message.
_OF_SERVER: Final = frozenset(
    {"executableCode", "codeExecutionResult", "toolCall", "toolResponse", "audioTranscription"}
)
# How a part is read, which other models have no use for.
_HINTS: Final = frozenset(
    {
        *("videoMetadata", "mediaResolution", "mediaProcessing", "speechMetadata", "partMetadata"),
        *("documentMetadata", "spreadsheetMetadata", "audioMetadata"),
    }
)
_READ: Final = frozenset(
    {
        *("text", "thought", "thoughtSignature", "inlineData", "fileData"),
        *("functionCall", "functionResponse"),
    }
)
# OpenAI's names of audio formats, by media types that have another one.
_FORMATS: Final = {"audio/mpeg": "mp3", "audio/x-wav": "wav", "audio/wave": "wav"}
# Files that only Google can read: its own store, its cloud, YouTube.
_GOOGLES: Final = (
    *("gs://", "https://generativelanguage.googleapis.com/", "files/"),
    *("https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/"),
)


def read_parts(raw: _Raw, path: str, ids: CallIds, fidelity: Fidelity) -> list[Block]:
    """Return the blocks of a content."""
    found: list[Block] = []
    for number, item in enumerate(listed(raw, path)):
        where = f"{path}.{number}"
        found += _read(members_of(item, where), where, ids, fidelity)
    return found


def _read(fields: Fields, path: str, ids: CallIds, fidelity: Fidelity) -> list[Block]:
    found: list[Block] = []
    signature = member_text(fields, "thoughtSignature", path, "")
    thought = is_true(fields.get("thought"))
    if is_carried(signature):
        found += released(signature)
        signature = ""
    if signature and not thought:
        found.append(Thinking("", "", signature, encrypted=True))
    for name in fields.keys() - _READ:
        if name in _OF_SERVER or name in _HINTS:
            fidelity.hint(f"{path}.{name}")
        else:
            fidelity.demand(f"{path}.{name}", "parts of this kind cannot be translated")
    if "text" in fields:
        text = member_text(fields, "text", path)
        if thought:
            found.append(Thinking(text, "", signature))
        elif text:
            found.append(Text(text))
    if "inlineData" in fields:
        found += _media(members_of(fields["inlineData"], path), f"{path}.inlineData", fidelity)
    if "fileData" in fields:
        found += _file(members_of(fields["fileData"], path), f"{path}.fileData", fidelity)
    if "functionCall" in fields:
        found.append(_call(members_of(fields["functionCall"], path), path, ids))
    if "functionResponse" in fields:
        where = f"{path}.functionResponse"
        found.append(_response(members_of(fields["functionResponse"], where), where, ids, fidelity))
    return found


def _call(call: Fields, path: str, ids: CallIds) -> ToolCall:
    name = member_text(call, "name", f"{path}.functionCall")
    return ToolCall(
        id=ids.call(member_text(call, "id", path, ""), name),
        name=name,
        # Its own text: numbers keep their digits, members their order.
        arguments=bytes(call.get("args", _NOTHING)).decode("utf-8", "replace"),
    )


def _response(given: Fields, path: str, ids: CallIds, fidelity: Fidelity) -> ToolResult:
    name = member_text(given, "name", path, "")
    response = given.get("response", _NOTHING)
    text, failed = _said(response, f"{path}.response")
    blocks: list[Block] = [Text(text)] if text else []
    for number, item in enumerate(listed(given.get("parts", _Raw(b"[]")), f"{path}.parts")):
        where = f"{path}.parts.{number}"
        part = members_of(item, where)
        if "inlineData" in part:
            blocks += _media(members_of(part["inlineData"], where), where, fidelity)
        elif "fileData" in part:
            blocks += _file(members_of(part["fileData"], where), where, fidelity)
    for each in given.keys() - {"id", "name", "response", "parts"}:
        fidelity.hint(f"{path}.{each}")
    id = ids.response(member_text(given, "id", path, ""), name)
    return ToolResult(id, blocks, is_error=failed)


def _said(response: _Raw, path: str) -> tuple[str, bool]:
    """Return what a function said, and whether that is an error.

    `output` and `error` are the members that Google's documentation has for a text (`types.py`,
    FunctionResponse), `result` is what its SDK puts around what a function returns; an object of
    any other form is a text as JSON.
    """
    fields = fields_of(response, path)
    for name in ("output", "error", "result"):
        if fields.keys() == {name}:
            value = fields[name]
            text = text_of(value, path) if is_text(value) else bytes(value).decode()
            return text, name == "error"
    return bytes(response).decode("utf-8", "replace"), False


def _media(given: Fields, path: str, fidelity: Fidelity) -> list[Block]:
    kind = member_text(given, "mimeType", path, "application/octet-stream").partition(";")[0]
    # The alphabet for URLs is Google's SDKs' own; other APIs want the other one.
    data = member_text(given, "data", path).replace("-", "+").replace("_", "/")
    title = member_text(given, "displayName", path, "") or None
    if kind.startswith("image/"):
        return [Image(data=data, media_type=kind)]
    if kind.startswith("audio/"):
        return [Audio(data, _FORMATS.get(kind, kind.removeprefix("audio/")))]
    if kind.startswith("text/"):
        return [Document(text=_text(data, path), media_type="text/plain", title=title)]
    if kind.startswith("video/"):
        fidelity.demand(path, "only Google's models take videos")
        return []
    return [Document(data=data, media_type=kind, title=title)]


def _text(data: str, path: str) -> str:
    try:
        return base64.b64decode(data + "=" * (-len(data) % 4)).decode("utf-8", "replace")
    except (binascii.Error, ValueError) as exc:
        raise InvalidRequest(f"{path}.data is no base64", param=f"{path}.data") from exc


def _file(given: Fields, path: str, fidelity: Fidelity) -> list[Block]:
    url = member_text(given, "fileUri", path)
    kind = member_text(given, "mimeType", path, "")
    if url.startswith(_GOOGLES) or not url.startswith(("https://", "http://")):
        fidelity.demand(path, "this file is known to one provider only")
        return []
    if kind.startswith(("audio/", "video/")):
        fidelity.demand(path, "only Google's models take audio and videos by URL")
        return []
    if kind.startswith("image/") or (not kind and url.lower().endswith(_PICTURES)):
        return [Image(url=url)]
    return [Document(url=url, media_type=kind)]


_PICTURES: Final = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".heic", ".heif")
