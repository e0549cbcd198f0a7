"""One event of a stream: what of it is decoded."""

from __future__ import annotations

from typing import Final

import msgspec

from ...wire.json_scan import NOTHING

# Absent is UNSET, since msgspec gives the raw bytes of anything, null included.
Found = msgspec.Raw | msgspec.UnsetType


class StreamEvent(msgspec.Struct, gc=False):
    """An event's members; `type` decides which of them it has."""

    type: str = ""
    delta: Found = msgspec.UNSET
    content_block: Found = msgspec.UNSET
    message: Found = msgspec.UNSET
    usage: Found = msgspec.UNSET
    error: Found = msgspec.UNSET
    index: int = 0


EVENT: Final = msgspec.json.Decoder(StreamEvent)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
# Members that are there from the beginning and say nothing as long as they are empty.
_NAMES: Final = frozenset({"type", "index", "stop_sequence", "citations", "signature"})
# Blocks that begin empty and are filled by their deltas. Any other block says something itself.
_EMPTY_AT_FIRST: Final = frozenset({b'"text"', b'"thinking"'})


def members_of(raw: Found) -> dict[str, bytes]:
    """Return the members of an object; none if it is of another form."""
    if not isinstance(raw, msgspec.Raw):
        return {}
    try:
        return {key: bytes(value) for key, value in _MEMBERS.decode(raw).items()}
    except (msgspec.DecodeError, RecursionError):
        return {}


def delta_says(delta: Found) -> bool:
    """Say whether a block's delta has content, not only a type."""
    return _says(members_of(delta))


def block_says(block: Found) -> bool:
    """Say whether a block has content when it begins."""
    found = members_of(block)
    return found.get("type") not in _EMPTY_AT_FIRST or _says(found)


def _says(found: dict[str, bytes]) -> bool:
    return any(key not in _NAMES and value not in NOTHING for key, value in found.items())


def stop_reason_of(delta: Found) -> bytes | None:
    """Return the `stop_reason` of a `message_delta`, as JSON; None if there is none yet."""
    reason = members_of(delta).get("stop_reason", b"null")
    return None if reason in NOTHING else reason
