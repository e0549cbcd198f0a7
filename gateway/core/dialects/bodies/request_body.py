"""A request's body as an object: its members, and those that every dialect has."""

from __future__ import annotations

from typing import Final

import msgspec

from ....errors import InvalidRequest
from ...records.shown_name import shortened
from ...wire.bounds.nesting import MAX_DEPTH
from ...wire.member_names import NameTable
from ...wire.splice import (
    DuplicateKey,
    InvalidJSON,
    JsonMember,
    NotAnObject,
    check_unique,
    members,
)

_STRING: Final = msgspec.json.Decoder(str)


def members_of_body(body: bytes, read: NameTable) -> list[JsonMember]:
    """Return the top-level members. Raises InvalidRequest (400).

    `read` are those that the gateway decides by: none may stand there under a name that only some
    readers take for it.
    """
    try:
        found = members(body, MAX_DEPTH)
        check_unique(found)
    except NotAnObject as exc:
        raise InvalidRequest("the body must be a JSON object", code="invalid_json") from exc
    except DuplicateKey as exc:
        # Two parsers can disagree on which of the two counts: a gateway that checks one model
        # and a provider that runs the other.
        message = shortened(str(exc))
        raise InvalidRequest(message, code="duplicate_key", param=_shown(exc.key)) from exc
    except InvalidJSON as exc:
        message = f"the body is not valid JSON: {exc}" if body else "the body is empty"
        raise InvalidRequest(message, code="invalid_json") from exc
    for member in found:
        meant = read[member.key]
        if meant is not None and meant != member.key:
            raise InvalidRequest(
                f"the member {_shown(member.key)!r} must be written {meant!r}",
                code="disguised_member",
                param=meant,
            )
    return found


def members_inside(raw: bytes, name: str, read: NameTable) -> dict[str, bytes]:
    """Return the members of the object `raw`, the value of the member `name`.

    A provider must read it as the gateway does: a second member of the same name, or one in other
    letters, could say something else to it. Raises InvalidRequest (400).
    """
    try:
        found = members(raw)
        check_unique(found)
    except DuplicateKey as exc:
        message = shortened(f"{name}: {exc}")
        raise InvalidRequest(message, code="duplicate_key", param=name) from exc
    except (InvalidJSON, RecursionError) as exc:
        message = shortened(f"{name} cannot be read: {exc}")
        raise InvalidRequest(message, param=name) from exc
    for member in found:
        meant = read[member.key]
        if meant is not None and meant != member.key:
            raise InvalidRequest(f"{name}.{_shown(member.key)} must be written {meant}", param=name)
    return {member.key: raw[member.value_start : member.end] for member in found}


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


def _shown(name: str) -> str:
    # A lone surrogate could not be sent back.
    return shortened(name.encode("utf-8", "backslashreplace").decode())
