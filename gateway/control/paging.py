"""Pages of what is listed by name: the cursor is the last name of the page before."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from msgspec import Meta

from ..errors import InvalidRequest

Item = TypeVar("Item")

LIMIT: Final = 100
MAX_LIMIT: Final = 1000


class NamePage(msgspec.Struct, Generic[Item], frozen=True):
    """`next` is the cursor of the page that follows; None at the end."""

    rows: Sequence[Item]
    next: str | None = None


class NameCursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    query: str
    name: Annotated[str, Meta(max_length=600)]


class PagePlace(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last of a page in an order of times, of which several may be the same."""

    query: str
    time: int
    id: Annotated[str, Meta(max_length=600)]

    @property
    def text(self) -> str:
        return urlsafe_b64encode(_ENCODER.encode(self)).rstrip(b"=").decode()


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(NameCursor)
_PLACES: Final = msgspec.json.Decoder(PagePlace)


def read_cursor(text: str, wanted: object) -> str:
    """Return the name after which the page begins, "" for the first one. Raises InvalidRequest."""
    if not text:
        return ""
    try:
        cursor = _DECODER.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        cursor.name.encode()
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        raise InvalidRequest("That cursor is none of ours.", param="cursor") from None
    if cursor.query != _query_of(wanted) or "\0" in cursor.name:
        raise InvalidRequest(
            "That cursor is of another query: filters must stay as they were.", param="cursor"
        )
    return cursor.name


def place_of(text: str, query: str) -> tuple[int, str] | None:
    """Return after which time and id the page begins. Raises InvalidRequest."""
    if not text:
        return None
    try:
        place = _PLACES.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        raise InvalidRequest("That cursor is none of ours.", param="cursor") from None
    if place.query != query:
        raise InvalidRequest("That cursor is of another list.", param="cursor")
    return place.time, place.id


def page_of(
    found: Sequence[Item], names: Sequence[str], limit: int, wanted: object
) -> NamePage[Item]:
    """Return a page of what was found, which is one more than `limit` unless it is the last."""
    if len(found) <= limit:
        return NamePage(found)
    cursor = NameCursor(_query_of(wanted), names[limit - 1])
    return NamePage(found[:limit], urlsafe_b64encode(_ENCODER.encode(cursor)).rstrip(b"=").decode())


def _query_of(wanted: object) -> str:
    return blake2b(_ENCODER.encode(wanted), digest_size=9).hexdigest()
