"""JSON taken apart without losing a digit: values stay `Raw` until somebody needs them.

All raise InvalidRequest (400) with the path of what is not as it must be.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ....errors import InvalidRequest

Fields = dict[str, msgspec.Raw]

_FIELDS: Final = msgspec.json.Decoder(Fields)
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_STRING: Final = msgspec.json.Decoder(str)
_ENCODE: Final = msgspec.json.Encoder().encode
_NULL: Final = b"null"


def fields_of(raw: bytes | msgspec.Raw, path: str) -> Fields:
    """Return the members of an object, without those that are null."""
    try:
        found = _FIELDS.decode(raw)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise InvalidRequest(f"{path or 'the body'} must be an object", param=path) from exc
    return {key: value for key, value in found.items() if bytes(value) != _NULL}


def items_of(raw: bytes | msgspec.Raw, path: str) -> list[msgspec.Raw]:
    """Return the elements of an array."""
    try:
        return _ITEMS.decode(raw)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise InvalidRequest(f"{path} must be an array", param=path) from exc


def text_of(raw: bytes | msgspec.Raw, path: str) -> str:
    """Return a string."""
    try:
        return _STRING.decode(raw)
    except msgspec.DecodeError as exc:
        raise InvalidRequest(f"{path} must be a string", param=path) from exc


def member_text(fields: Fields, name: str, path: str, default: str | None = None) -> str:
    """Return the string of a member; `default` if it has none."""
    if name not in fields:
        if default is None:
            where = f"{path}.{name}" if path else name
            raise InvalidRequest(f"{where} is missing", param=where)
        return default
    return text_of(fields[name], f"{path}.{name}" if path else name)


def is_text(raw: msgspec.Raw) -> bool:
    """Say whether a value is a string."""
    return bytes(raw).startswith(b'"')


def is_true(raw: msgspec.Raw | None) -> bool:
    return raw is not None and bytes(raw) == b"true"


def number(raw: msgspec.Raw, path: str) -> float:
    """Return what a number is worth, for a decision; what travels is the `raw` itself."""
    try:
        return float(bytes(raw))
    except ValueError as exc:
        raise InvalidRequest(f"{path} must be a number", param=path) from exc


def raw_text(text: str) -> msgspec.Raw:
    """Return a string as JSON."""
    return msgspec.Raw(_ENCODE(text))


def is_object(text: str) -> bool:
    """Say whether `text` is a JSON object."""
    try:
        _FIELDS.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True
