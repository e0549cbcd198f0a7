"""One event of a stream: what of it is decoded."""

from __future__ import annotations

from typing import Final

import msgspec

from ...wire.json_scan import NOTHING

# Absent is UNSET, since msgspec gives the raw bytes of anything, null included.
Found = msgspec.Raw | msgspec.UnsetType


class ConverseEvent(msgspec.Struct, gc=False):
    """An event's members; its type, which is a header, decides which of them it has."""

    delta: Found = msgspec.UNSET
    usage: Found = msgspec.UNSET
    stopReason: Found = msgspec.UNSET  # noqa: N815  # Amazon's spelling


EVENT: Final = msgspec.json.Decoder(ConverseEvent)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def members_of(raw: bytes | Found) -> dict[str, bytes]:
    """Return the members of an object; none if it is of another form."""
    if isinstance(raw, msgspec.UnsetType):
        return {}
    try:
        return {key: bytes(value) for key, value in _MEMBERS.decode(raw).items()}
    except (msgspec.DecodeError, RecursionError):
        return {}


def delta_says(delta: Found) -> bool:
    """Say whether a block's delta has content: a union, of which one member is set."""
    for value in members_of(delta).values():
        inner = members_of(value) if value.startswith(b"{") else {"": value}
        if any(each not in NOTHING for each in inner.values()):
            return True
    return False


def is_said(raw: Found) -> bool:
    """Say whether a member has a value."""
    return isinstance(raw, msgspec.Raw) and bytes(raw) not in NOTHING
