"""What a request for content needs of its model (ai.google.dev/api/generate-content)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from ...wire.json_scan import NOTHING
from ...wire.splice import JsonMember
from ..needs import fields_of, values_of

_CONFIG: Final = ("generationConfig", "generation_config")
_CONTENTS: Final = "contents"
_READ: Final = frozenset({_CONTENTS, "tools", *_CONFIG})
_SCHEMAS: Final = (
    *("responseSchema", "response_schema", "responseJsonSchema", "response_json_schema"),
)
_MEDIA: Final = {"inlineData": "mimeType", "inline_data": "mime_type"}
_FILES: Final = {"fileData": "mimeType", "file_data": "mime_type"}
_CALLS: Final = ("functionCall", "function_call")
# By how a media type begins.
_KINDS: Final = {"image/": "images", "audio/": "audio", "application/": "documents"}

_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_STRING: Final = msgspec.json.Decoder(str)
_EMPTY: Final = msgspec.Raw(b"[]")


def read_needs(body: bytes, members: Sequence[JsonMember]) -> dict[str, str]:
    """Return where the request in `body` asks for what it needs, by the names of `Needs`."""
    values = values_of(body, members, _READ)
    found = _in_contents(values.get(_CONTENTS, b""))
    if values.get("tools", b"[]") not in NOTHING:
        found["tools"] = "tools"
    for name in _CONFIG:
        config = fields_of(values.get(name, b"{}"))
        for schema in _SCHEMAS:
            if bytes(config.get(schema, b"null")) not in NOTHING:
                found["structured_output"] = f"{name}.{schema}"
        thinking = fields_of(config.get("thinkingConfig") or config.get("thinking_config") or b"{}")
        asked = [
            bytes(value)
            for key, value in thinking.items()
            if key not in ("includeThoughts", "include_thoughts")
        ]
        if any(value not in NOTHING for value in asked):
            found["thinking"] = f"{name}.thinkingConfig"
    return found


def _items(raw: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    """Return the elements of a list, or the one object that stands for a list of one."""
    if bytes(memoryview(raw)[:1]) == b"{":
        return [msgspec.Raw(bytes(raw))]
    try:
        return _ITEMS.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        # Of another form than the API has: the provider says what is wrong with it.
        return []


def _in_contents(raw: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, content in enumerate(_items(raw) if raw else []):
        calls = 0
        for at, part in enumerate(_items(fields_of(content).get("parts", _EMPTY))):
            path = f"contents[{number}].parts[{at}]"
            fields = fields_of(part)
            calls += any(name in fields for name in _CALLS)
            for need in _media(fields):
                found.setdefault(need, path)
        if calls:
            found.setdefault("tools", f"contents[{number}]")
        if calls > 1:
            found.setdefault("parallel_tools", f"contents[{number}]")
    return found


def _media(fields: Mapping[str, msgspec.Raw]) -> Iterator[str]:
    for names in (_MEDIA, _FILES):
        for name, kind in names.items():
            if name in fields:
                inside = fields_of(fields[name])
                try:
                    media = _STRING.decode(inside.get(kind, b'""'))
                except msgspec.DecodeError:
                    continue
                need = next((n for start, n in _KINDS.items() if media.startswith(start)), None)
                if need is not None:
                    yield need
