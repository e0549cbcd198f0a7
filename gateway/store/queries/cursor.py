"""Where a page of a list ended, as the text that asks for the next one."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ...errors import InvalidRequest
from .filters import Window

# What both engines can hold, and one more: a cursor that a caller made up must not become an error
# of the database.
_Number = Annotated[int, Meta(ge=-1, le=(1 << 63) - 2)]


class Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last row passed, and the first and last key of the window.

    The window is that of the first page: "24h" means other times for each page, and rows that come
    in meanwhile could belong to a page that was read already.
    """

    query: str
    key: _Number
    id: _Number
    low: _Number
    high: _Number


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Cursor)


def write(cursor: Cursor) -> str:
    return urlsafe_b64encode(_ENCODER.encode(cursor)).rstrip(b"=").decode()


def read(text: str, query: str) -> Cursor:
    """Read what `write` wrote for the same `query`; raises InvalidRequest for all else."""
    try:
        cursor = _DECODER.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        raise InvalidRequest("That cursor is none of ours.", param="cursor") from None
    if cursor.query != query:
        raise InvalidRequest(
            "That cursor is of another query: filters and order must stay as they were.",
            param="cursor",
        )
    return cursor


def query_of(wanted: Window, *order: object) -> str:
    """Return a hash that identifies a query: of its filter as it was given, and its order."""
    given = msgspec.to_builtins(wanted)
    if any(wanted.written):
        given["since"] = given["until"] = None
    return blake2b(_ENCODER.encode([given, *order]), digest_size=9).hexdigest()


def check_limit(limit: int, most: int) -> None:
    if not 1 <= limit <= most:
        raise InvalidRequest(f"limit must be from 1 to {most}; it is {limit}.", param="limit")
