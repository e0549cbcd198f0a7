"""The top-level members of a JSON object and where they stand in its bytes.

`scan` takes everything that RFC 8259 allows in UTF-8, also duplicate keys and lone surrogate
escapes, and says where anything else goes wrong. `splice.members` is the quick way that comes
here only when it must.

Values are skipped by the standard library's C scanner. It wants text; bytes read as Latin-1
are text with one character for each byte, so its positions are ours, and JSON's own syntax is
ASCII. Its extensions (NaN and the infinities) are switched off.
"""

from __future__ import annotations

import json
import re
from typing import Final, Never

import msgspec

# Real bodies have some tens. The part of the work that Python does for each is bounded by it: 4 us
# for a name that has not been seen before, 2 ms for all of them.
MAX_MEMBERS: Final = 512

# Values that say as little as an absent member: servers write any of them for "no error".
NOTHING: Final = frozenset({b"null", b'""', b"[]", b"{}", b"false", b"0"})

_SPACE: Final = re.compile(r"[ \t\n\r]*")


class JsonMember(msgspec.Struct, gc=False, frozen=True):
    """One top-level member: `key` is decoded, the rest are offsets in the body.

    `body[start]` is the key's opening quote, `body[value_start:end]` is the value.
    """

    key: str
    start: int
    value_start: int
    end: int


class InvalidJSON(ValueError):
    """The body is not JSON. `position` is the offset of the fault in bytes, where known."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message if position is None else f"{message} (byte {position})")
        self.position = position


class NestedTooDeeply(InvalidJSON):
    """The body has more levels than may be, or than the interpreter takes."""

    def __init__(self) -> None:
        super().__init__("nested too deeply")


class NotAnObject(InvalidJSON):
    """The body is not a JSON object at its top level."""


class TooManyMembers(InvalidJSON):
    """An object has more than `MAX_MEMBERS` members."""

    def __init__(self) -> None:
        super().__init__(f"more than {MAX_MEMBERS} members at the top level")


class DuplicateKey(InvalidJSON):
    """Two keys are equal but for case, so that two readers could choose differently."""

    def __init__(self, key: str, other: str) -> None:
        same = f"duplicate key {key!r}"
        super().__init__(
            same if key == other else f"keys {key!r} and {other!r} differ only in case"
        )
        self.key = key
        self.other = other


def _refuse_constant(name: str) -> Never:
    raise InvalidJSON(f"{name} is not JSON")


# The values are thrown away: `len` makes small integers of objects and numbers instead. It also
# keeps clear of int()'s refusal of numbers with more than 4300 digits.
_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=len, parse_int=len, parse_float=len, parse_constant=_refuse_constant
)


def check_utf8(body: bytes) -> None:
    """Raise `InvalidJSON` unless `body` is UTF-8 (RFC 8259 section 8.1)."""
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise InvalidJSON("not UTF-8", error.start) from None


def check_count(count: int) -> None:
    """Raise `TooManyMembers` if an object has more than `MAX_MEMBERS` members."""
    if count > MAX_MEMBERS:
        raise TooManyMembers


def scan(body: bytes) -> list[JsonMember]:
    """Return the members in order, duplicates included.

    Raises `InvalidJSON`, `NotAnObject`.
    """
    check_utf8(body)
    text = body.decode("latin-1")
    at = _skip_space(text, 0)
    if text[at : at + 1] != "{":
        _refuse_top_level(text, at)
    members: list[JsonMember] = []
    at = _skip_space(text, at + 1)
    if text[at : at + 1] != "}":
        at = _scan_members(body, text, at, members)
    at = _skip_space(text, at + 1)
    if at != len(text):
        raise InvalidJSON("something follows the JSON object", at)
    return members


def _scan_members(body: bytes, text: str, at: int, members: list[JsonMember]) -> int:
    """Append the members from `at` on; return the offset of the closing brace."""
    while True:
        if text[at : at + 1] != '"':
            raise InvalidJSON("expected a key in double quotes", at)
        start = at
        at = _skip_value(text, start)
        # As UTF-8 this time: so far only the borders were of interest.
        key: str = json.loads(body[start:at])
        at = _skip_space(text, at)
        if text[at : at + 1] != ":":
            raise InvalidJSON("expected ':'", at)
        value_start = _skip_space(text, at + 1)
        end = _skip_value(text, value_start)
        members.append(JsonMember(key, start, value_start, end))
        check_count(len(members))
        at = _skip_space(text, end)
        after = text[at : at + 1]
        if after == "}":
            return at
        if after != ",":
            raise InvalidJSON("expected ',' or '}'", at)
        at = _skip_space(text, at + 1)


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()


def _skip_value(text: str, at: int) -> int:
    try:
        _, end = _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        # "Invalid control character at" and the like: made to be followed by a position.
        raise InvalidJSON(error.msg.removesuffix(" at"), error.pos) from None
    except RecursionError:
        # The interpreter's own bound, of which most is used where this is called deep in calls.
        raise NestedTooDeeply from None
    return end


def _refuse_top_level(text: str, at: int) -> Never:
    if at == len(text):
        raise InvalidJSON("empty", at)
    if text.startswith("\xef\xbb\xbf"):
        # RFC 8259 section 8.1: a sender must not add one.
        raise InvalidJSON("starts with a byte order mark", 0)
    end = _skip_space(text, _skip_value(text, at))
    if end != len(text):
        raise InvalidJSON("something follows the JSON value", end)
    raise NotAnObject("expected a JSON object", at)
