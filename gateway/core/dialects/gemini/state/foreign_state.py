"""Opaque state of another dialect's provider, taken out of a request that is sent on as it came.

A conversation may move from a model behind another API to one of Google's. What a caller then
replays has signatures that the gateway has made (`carried_state.py`), which Google would
refuse. Contents without one keep their bytes.
"""

from __future__ import annotations

from typing import Final

import msgspec

from .....errors import InvalidRequest
from ....wire.splice import members, splice
from ...canonical.reading import Fields, fields_of, items_of, text_of
from .carried_state import IN_JSON, is_carried

_ENCODE: Final = msgspec.json.Encoder().encode
_SIGNATURES: Final = ("thoughtSignature", "thought_signature")
# Members that say nothing without others.
_SILENT: Final = frozenset({"thought", *_SIGNATURES})


def without_foreign_state(body: bytes) -> bytes:
    """Return `body`, a JSON object, without state that is not Google's."""
    if not any(each in body for each in IN_JSON):
        return body
    known = members(body)
    found = {e.key: body[e.value_start : e.end] for e in known if e.key == "contents"}
    try:
        cleaned = {name: _cleaned_contents(raw) for name, raw in found.items()}
    except InvalidRequest:
        # Of another form than the API has: the provider says what is wrong with it.
        return body
    return splice(body, replace=cleaned, known=known)


def _cleaned_contents(raw: bytes) -> bytes:
    if raw.startswith(b"["):
        contents = [_cleaned(each) for each in items_of(raw, "contents")]
        return _ENCODE([each for each in contents if each is not None])
    cleaned = _cleaned(msgspec.Raw(raw))
    return raw if cleaned is None else bytes(cleaned)


def _cleaned(content: msgspec.Raw) -> msgspec.Raw | None:
    """Return a content without such state; None if nothing is left of it."""
    if not any(each in bytes(content) for each in IN_JSON):
        return content
    fields = fields_of(content, "contents")
    if "parts" not in fields:
        return content
    parts: list[msgspec.Raw | Fields] = []
    for part in items_of(fields["parts"], "parts"):
        cleaned = _without(part)
        if cleaned is not None:
            parts.append(cleaned)
    if not parts:
        return None
    return msgspec.Raw(_ENCODE({**fields, "parts": parts}))


def _without(part: msgspec.Raw) -> msgspec.Raw | Fields | None:
    if not any(each in bytes(part) for each in IN_JSON):
        return part
    fields = fields_of(part, "parts")
    for name in _SIGNATURES:
        if name in fields and is_carried(text_of(fields[name], name)):
            del fields[name]
    silent = _SILENT | {"text"} if bytes(fields.get("text", b"")) == b'""' else _SILENT
    return fields if fields.keys() - silent else None
