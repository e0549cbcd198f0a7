"""Rewrite top-level members of a JSON object in its bytes, and leave every other byte alone.

Parsing and writing again would change what callers pay for (prompt caches compare bytes), drop
what we do not know, and cost ten times as much.

How it is fast: msgspec checks the whole grammar in C and hands out each top-level value as a
slice of the input (`msgspec.Raw`). Where these slices lie follows from the text between them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from .bounds.bounded_keys import decode_bounded
from .bounds.nesting import MOST_READ, nested_too_deeply
from .json_scan import (
    MAX_MEMBERS,
    DuplicateKey,
    InvalidJSON,
    JsonMember,
    NestedTooDeeply,
    NotAnObject,
    check_count,
    check_utf8,
    scan,
)

__all__ = [
    "DuplicateKey",
    "InvalidJSON",
    "JsonMember",
    "NotAnObject",
    "check_unique",
    "members",
    "splice",
]

_DECODER: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_EMPTY: Final[Mapping[str, bytes]] = {}

# Bytes with so few members that a bound on them would save nothing.
_UNCOUNTED: Final = 4096
# `scan` makes Python objects of what it skips: 32 MiB of `[],` would take it 3 s and 770 MB.
MAX_SCAN: Final = 256 * 1024
_TWICE: Final = "a key stands more than once at the top level, or is very long"
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")

# Only for text that msgspec has found to be JSON: neither of these checks much. The bound keeps
# the memory of `re` in bounds; a key with more escapes is left to `scan`.
_AFTER: Final = re.compile(rb"[ \t\n\r]*([,}])")
_KEY: Final = re.compile(rb'([ \t\n\r]*)"[^"\\]*(?:\\.[^"\\]*){0,1000}"[ \t\n\r]*:[ \t\n\r]*')


def members(body: bytes, depth: int = MOST_READ) -> list[JsonMember]:
    """Return the top-level members in order, duplicates included; at most `MAX_MEMBERS`.

    `depth` are the levels that may be nested. Raises `InvalidJSON`, `NotAnObject`.
    """
    check_utf8(body)  # msgspec does not look into the strings that it skips
    if len(body) > depth and nested_too_deeply(body, depth):
        raise NestedTooDeeply
    try:
        values = _decode(body)
    except (msgspec.DecodeError, RecursionError):
        # Lone surrogate escapes, which RFC 8259 allows; otherwise this finds the fault, too.
        return scan(body) if len(body) <= MAX_SCAN else _members_of_large(body)
    found = _find(body, values)
    if found is not None:
        return found
    if len(body) > MAX_SCAN:
        raise InvalidJSON(_TWICE)
    return scan(body)


def _decode(body: bytes) -> dict[str, msgspec.Raw]:
    """Return the members, of each name the last. Raises TooManyMembers, and what msgspec does."""
    # Each member has a colon, so few colons are few members; to count them takes microseconds.
    if len(body) > _UNCOUNTED and body.count(b":") > MAX_MEMBERS:
        return decode_bounded(body)
    return _DECODER.decode(body)


def _find(body: bytes, values: dict[str, msgspec.Raw]) -> list[JsonMember] | None:
    check_count(len(values))
    return _locate_compact(body, values) or _locate(body, values)


def _members_of_large(body: bytes) -> list[JsonMember]:
    """Do what `scan` does, without making Python objects of megabytes of input.

    What msgspec refuses of valid JSON are lone surrogates, so it gets blanks in their place;
    the offsets stay the same. Duplicate keys are not told one by one.
    """
    plain = _SURROGATE.sub(rb"\\u0020", body)
    try:
        found = _find(plain, _decode(plain))
    except msgspec.ValidationError:
        raise NotAnObject("expected a JSON object") from None
    except msgspec.DecodeError as error:
        raise InvalidJSON(str(error).removeprefix("JSON is malformed: ")) from None
    except RecursionError:
        raise NestedTooDeeply from None
    if found is None:
        raise InvalidJSON(_TWICE)
    return [_with_own_key(member, body, plain) for member in found]


def _with_own_key(member: JsonMember, body: bytes, plain: bytes) -> JsonMember:
    written = body[member.start : member.value_start]
    if written == plain[member.start : member.value_start]:
        return member
    key: str = json.loads(written.rstrip()[:-1])
    return msgspec.structs.replace(member, key=key)


class _Prefixes(dict[str, bytes]):
    """How compact JSON writes a key and its colon. Bounded: callers choose the keys."""

    def __missing__(self, key: str) -> bytes:
        prefix = msgspec.json.encode(key) + b":"
        if len(key) <= 64:
            if len(self) >= 1024:
                self.clear()
            self[key] = prefix
        return prefix


_PREFIXES: Final = _Prefixes()


def _locate_compact(body: bytes, values: dict[str, msgspec.Raw]) -> list[JsonMember] | None:
    """Find the members of an object without white space; None if it is not quite one.

    What is put together from the values is an object that has these members at these places,
    and the body equals it: there is nothing else to check.
    """
    found: list[JsonMember] = []
    pieces: list[bytes] = []
    at = 1
    for key, raw in values.items():
        prefix = _PREFIXES[key]
        piece = prefix + raw
        end = at + len(piece)
        if at == 1 and not body.startswith(piece, 1):
            return None
        found.append(JsonMember(key, at, at + len(prefix), end))
        pieces.append(piece)
        at = end + 1
    return found if b"{%b}" % b",".join(pieces) == body else None


def _locate(body: bytes, values: dict[str, msgspec.Raw]) -> list[JsonMember] | None:
    """Find the members of a valid object; None if it has duplicate keys.

    `values` has each key once, where it first stood, with its last value. Walking over the text
    by the lengths of these values therefore meets the closing brace after exactly the last of
    them if no key stands twice, and if one does, cannot: there are more members than values.
    """
    found: list[JsonMember] = []
    at = body.index(b"{") + 1
    after = b","
    for key, raw in values.items():
        match = _KEY.match(body, at)
        if after != b"," or match is None:
            return None
        value_start = match.end()
        end = value_start + len(raw)
        # A number may be the beginning of a longer one: what follows must be seen, too.
        follows = _AFTER.match(body, end)
        if follows is None or not body.startswith(raw, value_start):
            return None
        found.append(JsonMember(key, match.end(1), value_start, end))
        after = follows[1]
        at = follows.end()
    return found if after == b"}" or not found else None


def check_unique(members: Collection[JsonMember]) -> None:
    """Raise `DuplicateKey` if two keys are equal but for case.

    Go's encoding/json, for one, matches names without regard to case: such a body could mean
    one model to us and another one to a provider.
    """
    if len({member.key.casefold() for member in members}) == len(members):
        return
    seen: dict[str, str] = {}
    for member in members:
        folded = member.key.casefold()
        if folded in seen:
            raise DuplicateKey(member.key, seen[folded])
        seen[folded] = member.key


def splice(
    body: bytes,
    *,
    replace: Mapping[str, bytes] = _EMPTY,
    put: Mapping[str, bytes] = _EMPTY,
    remove: Collection[str] = (),
    known: list[JsonMember] | None = None,
) -> bytes:
    """Return `body` with some top-level members changed, `body` itself if none was.

    Values are JSON. `replace` changes every member of that name, `put` appends one if there is
    none, `remove` takes them out, each with the comma and white space up to the next member, or
    from the one before if it is the last. A key in more than one: `remove` wins, then `put`.
    `known` is what `members` returned for this body. Raises `InvalidJSON` and `NotAnObject`
    if `known` is not given.
    """
    found = members(body) if known is None else known
    cuts: list[tuple[int, int, bytes]] = []
    kept = 0  # members up to and including the last that stays
    kept_cuts = 0
    present: set[str] = set()
    for index, member in enumerate(found):
        key = member.key
        if key in remove:
            # Overlaps nothing: the next member's own cut, if any, begins where this one ends.
            # The last one's end is put right below.
            after = found[index + 1].start if index + 1 < len(found) else member.end
            cuts.append((member.start, after, b""))
            continue
        value = put.get(key)
        if value is None:
            value = replace.get(key)
        else:
            present.add(key)
        if value is not None and body[member.value_start : member.end] != value:
            cuts.append((member.value_start, member.end, value))
        kept, kept_cuts = index + 1, len(cuts)
    if kept < len(found):
        # Nothing stays behind these: the comma in front of them must go, not one after.
        start = found[kept - 1].end if kept else found[0].start
        cuts[kept_cuts:] = [(start, found[-1].end, b"")]
    if added := [(k, v) for k, v in put.items() if k not in present and k not in remove]:
        text = b",".join(_PREFIXES[key] + value for key, value in added)
        end = found[-1].end if found else body.index(b"{") + 1
        cuts.append((end, end, b"," + text if kept else text))
    return _cut(body, cuts) if cuts else body


def _cut(body: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for start, end, new in cuts:
        pieces += (body[at:start], new)
        at = end
    pieces.append(body[at:])
    return b"".join(pieces)
