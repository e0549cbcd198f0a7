"""Keys in another order than by name, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from ..errors import InvalidRequest
from ..store.control.generations import Transaction
from ..store.queries.last_used import last_used
from . import key_view
from .key_view import KeyFilter, KeyView
from .known_keys import KnownKeys
from .paging import NamePage, page_of, read_cursor
from .spending import on_record

# Each page of such an order reads all of the keys: 20,000 take half a second.
MOST_SORTED: Final = 20_000
_NEVER: Final = 1 << 62


class KeyQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys in which order: one of `SORTS`.

    `budget` is how much of it is spent, `used` the time of the newest request on record.
    """

    wanted: KeyFilter
    sort: str = "name"
    descending: bool = False


class _Placed(NamedTuple):
    """A key and what it is sorted by."""

    value: int
    key: KeyView


SORTS: Final = ("name", "budget", "used", "expires", "made")
_VALUES: Final[dict[str, Callable[[KeyView], int]]] = {
    "budget": lambda key: (
        -1
        if key.spending is None
        else key.spending.spent_nano_usd * 1_000_000 // max(1, key.spending.limit_nano_usd)
    ),
    "expires": lambda key: (
        _NEVER if key.expires_at is None else round(key.expires_at.timestamp() * 1_000_000)
    ),
    "made": lambda key: key.created or 0,
}


def page(
    connection: Transaction,
    known: KnownKeys,
    query: KeyQuery,
    *,
    cursor: str,
    limit: int,
    now: float,
) -> NamePage[KeyView]:
    """Return a page of keys. Raises InvalidRequest for too many to sort, or a foreign cursor."""
    after = read_cursor(cursor, query)
    if query.sort == "name" and not query.descending:
        found = key_view.page(
            connection, known, query.wanted, after=after, limit=limit + 1, now=now
        )
        return page_of(found, [each.name for each in found], limit, query)
    placed = _sorted(connection, _all(connection, known, query, now), query)
    if after:
        value, _, name = after.partition("\t")
        if not value.lstrip("-").isdigit():
            raise InvalidRequest("That cursor is none of ours.", param="cursor")
        placed = [each for each in placed if _is_after(each, (int(value), name), query)]
    shown = placed[: limit + 1]
    names = [f"{each.value}\t{each.key.name}" for each in shown]
    return page_of([each.key for each in shown], names, limit, query)


def _all(
    connection: Transaction, known: KnownKeys, query: KeyQuery, now: float
) -> Sequence[KeyView]:
    found = key_view.page(connection, known, query.wanted, after="", limit=MOST_SORTED + 1, now=now)
    if len(found) > MOST_SORTED:
        raise InvalidRequest(
            f"There are more than {MOST_SORTED:,} keys to sort: choose a team or a part of the"
            " name, or sort by name.",
            param="sort",
        )
    if query.sort != "budget":
        return found
    spent = on_record(connection, found, now)
    return [
        msgspec.structs.replace(key, spending=state)
        for key, state in zip(found, spent, strict=True)
    ]


def _sorted(connection: Transaction, keys: Sequence[KeyView], query: KeyQuery) -> list[_Placed]:
    if query.sort == "used":
        used = last_used(connection, [key.name for key in keys])
        placed = [_Placed(used.get(key.name, 0), key) for key in keys]
    else:
        value = _VALUES.get(query.sort)
        placed = [_Placed(0 if value is None else value(key), key) for key in keys]
    # Equal ones by their names, which are unique.
    placed.sort(key=_place, reverse=query.descending)
    return placed


def _place(each: _Placed) -> tuple[int, str]:
    return each.value, each.key.name


def _is_after(each: _Placed, place: tuple[int, str], query: KeyQuery) -> bool:
    return _place(each) < place if query.descending else _place(each) > place
