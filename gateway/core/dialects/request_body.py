"""A request's body as an object: its members, and those that every dialect has."""

from __future__ import annotations

from typing import Final

import msgspec

from ...errors import InvalidRequest
from ..records.shown_name import shortened
from ..wire.splice import (
    DuplicateKey,
    InvalidJSON,
    JsonMember,
    NotAnObject,
    check_unique,
    members,
)

_STRING: Final = msgspec.json.Decoder(str)


def members_of_body(body: bytes) -> list[JsonMember]:
    """Return the top-level members. Raises InvalidRequest (400)."""
    try:
        found = members(body)
        check_unique(found)
    except NotAnObject as exc:
        raise InvalidRequest("the body must be a JSON object", code="invalid_json") from exc
    except DuplicateKey as exc:
        # Two parsers can disagree on which of the two counts: a gateway that checks one model
        # and a provider that runs the other.
        # A lone surrogate in the key could not be sent back.
        param = shortened(exc.key.encode("utf-8", "backslashreplace").decode())
        raise InvalidRequest(shortened(str(exc)), code="duplicate_key", param=param) from exc
    except InvalidJSON as exc:
        message = f"the body is not valid JSON: {exc}" if body else "the body is empty"
        raise InvalidRequest(message, code="invalid_json") from exc
    return found


def string_of(raw: bytes, name: str) -> str:
    """Return the string of the member `name`. Raises InvalidRequest (400)."""
    try:
        return _STRING.decode(raw)
    except msgspec.DecodeError as exc:
        raise InvalidRequest(f"{name} must be a string", param=name) from exc


def flag_of(raw: bytes | None, name: str) -> bool:
    """Return whether the member `name` is true. Raises InvalidRequest (400)."""
    if raw is None or raw in (b"false", b"null"):
        return False
    if raw != b"true":
        raise InvalidRequest(f"{name} must be true or false", param=name)
    return True
