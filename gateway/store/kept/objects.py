"""The objects that providers keep for callers: whose each is, and where."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from ...core.objects.kept import KeptObject
from ..engine.kept_tables import kept_objects

_of: Final = kept_objects.c
_MICRO: Final = 1_000_000


def find(connection: Connection, ids: Collection[str]) -> list[KeptObject]:
    """Return those of `ids` that are known."""
    if not ids:
        return []
    query = select(_of.id, _of.owner, _of.provider, _of.account, _of.part_of)
    rows = connection.execute(query.where(_of.id.in_(ids)))
    return [KeptObject(*row[:4], row.part_of or "") for row in rows]


def keep(connection: Connection, objects: Iterable[KeptObject], now: float) -> None:
    """Remember `objects`; those that are known already stay as they are."""
    new = {each.id: each for each in objects}
    for each in find(connection, new.keys()):
        del new[each.id]
    rows = [
        {
            "id": each.id,
            "owner": each.owner,
            "provider": each.provider,
            "account": each.account,
            "created": round(now * _MICRO),
            "part_of": each.part_of or None,
        }
        for each in new.values()
    ]
    if rows:
        connection.execute(insert(kept_objects), rows)


def forget(connection: Connection, id: str) -> None:
    """Forget an object."""
    connection.execute(delete(kept_objects).where(_of.id == id))


def claim(connection: Connection, id: str, now: float) -> bool:
    """Say whether the batch `id` is to be charged now: only the first one who asks is told so.

    Another statement waits for its transaction, and finds the row charged.
    """
    first = update(kept_objects).where(_of.id == id, _of.charged.is_(None))
    return connection.execute(first.values(charged=round(now * _MICRO))).rowcount == 1
