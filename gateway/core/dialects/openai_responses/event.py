"""One event of a stream: what of it is decoded, and what its type says.

The types are those of openai-python's `types/responses/response_stream_event.py`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ...wire.json_scan import check_utf8
from ...wire.splice import InvalidJSON
from ..openai_chat.faults import values

# Absent is UNSET, since msgspec gives the raw bytes of anything, null included.
Found = msgspec.Raw | msgspec.UnsetType

# A provider says these before it has anything to say.
OPENING: Final = frozenset({"response.created", "response.in_progress", "response.queued"})
# One of these ends a stream as it should...
ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.cancelled"})
# ...and this one as it should not.
FAILED: Final = "response.failed"
ERROR: Final = "error"
ITEM_DONE: Final = "response.output_item.done"
# All that a model makes has a type with this beginning; others are signs of life.
OF_THE_RESPONSE: Final = "response."


class Event(msgspec.Struct, gc=False):
    """`sequence_number` and what follows are as they stand in the event."""

    type: str = ""
    sequence_number: Found = msgspec.UNSET
    response: Found = msgspec.UNSET
    delta: Found = msgspec.UNSET
    item: Found = msgspec.UNSET
    error: Found = msgspec.UNSET


class ResponseMembers(msgspec.Struct, gc=False):
    """What is read of a `response` object."""

    id: Found = msgspec.UNSET
    object: Found = msgspec.UNSET
    status: Found = msgspec.UNSET
    error: Found = msgspec.UNSET
    output: Found = msgspec.UNSET
    usage: Found = msgspec.UNSET
    store: Found = msgspec.UNSET
    conversation: Found = msgspec.UNSET


_EVENT: Final = msgspec.json.Decoder(Event)
_STRING: Final = msgspec.json.Decoder(str)
_ID: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_event(data: bytes) -> Event:
    """Read an event. Raises InvalidJSON for what is no JSON object."""
    try:
        if not data.isascii():
            # msgspec skips over strings that it does not have to decode.
            check_utf8(data)
        return _EVENT.decode(data)
    except (msgspec.DecodeError, RecursionError):
        # Lone surrogates, which JSON allows, or a type that is no string.
        fields = values(data)
        raw = {name: msgspec.Raw(fields[name]) for name in _RAW if name in fields}
        return Event(text_of(fields.get("type", b"")), **raw)


_RAW: Final = tuple(name for name in Event.__struct_fields__ if name != "type")


def read_response(raw: bytes | msgspec.Raw) -> ResponseMembers:
    """Read a `response` object; one without any members, if it is none."""
    try:
        fields = values(bytes(raw))
    except InvalidJSON:
        fields = {}
    found = {name: msgspec.Raw(fields[name]) for name in _READ if name in fields}
    return ResponseMembers(**found)


_READ: Final = ResponseMembers.__struct_fields__


def kept_ids(found: ResponseMembers) -> tuple[str, ...]:
    """Return under which ids the provider keeps a response: its own and its conversation's."""
    kept: list[str] = []
    if found.store is msgspec.UNSET or bytes(found.store) != b"false":
        kept.append(text_of(found.id))
    kept.append(id_of(found.conversation))
    return tuple(each for each in kept if each)


def id_of(raw: bytes | Found) -> str:
    """Return an id, which stands as a string or in an object."""
    if isinstance(raw, msgspec.UnsetType):
        return ""
    text = bytes(raw)
    if text.startswith(b"{"):
        try:
            return text_of(_ID.decode(text).get("id", msgspec.UNSET))
        except (msgspec.DecodeError, RecursionError):
            return ""
    return text_of(text)


def text_of(raw: bytes | Found) -> str:
    """Return a string; "" for anything else."""
    if isinstance(raw, msgspec.UnsetType):
        return ""
    try:
        return _STRING.decode(raw)
    except msgspec.DecodeError:
        return ""
