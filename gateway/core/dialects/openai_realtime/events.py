"""What is read of the messages of OpenAI's sessions: their kind, and little more."""

from __future__ import annotations

from typing import Final

import msgspec

_RAW: Final = msgspec.Raw(b"")


class SessionEvent(msgspec.Struct, frozen=True):
    """The members of a message that decide something, as they came."""

    type: str = ""
    response: msgspec.Raw = _RAW
    session: msgspec.Raw = _RAW
    error: msgspec.Raw = _RAW
    usage: msgspec.Raw = _RAW


_DECODER: Final = msgspec.json.Decoder(SessionEvent)
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def event_of(text: str) -> SessionEvent | None:
    """Return what `text` is; None if it is no object with such members."""
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def members(raw: msgspec.Raw | bytes) -> dict[str, msgspec.Raw]:
    """Return the members of an object; none if it is none."""
    try:
        return _OBJECT.decode(raw) if raw else {}
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
