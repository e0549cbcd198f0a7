"""The responses that the gateway keeps, by the key that each was made for."""

from __future__ import annotations

import zlib
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select

from ...core.dialects.keeping import KeptResponse
from ..engine.kept_tables import kept_responses

_of: Final = kept_responses.c
_MICRO: Final = 1_000_000
# Fast: it is done while an answer waits for its last bytes.
_LEVEL: Final = 1
# Rows that are looked at when a key has too much: one new response rarely takes the place of more.
_OLDEST: Final = 200


def find(connection: Connection, owner: bytes, id: str) -> KeptResponse | None:
    query = select(_of.response, _of.input).where(_of.owner == owner.hex(), _of.id == id)
    row = connection.execute(query).first()
    if row is None:
        return None
    return KeptResponse(id, zlib.decompress(row.response), zlib.decompress(row.input))


def keep(
    connection: Connection, owner: bytes, kept: KeptResponse, now: float, most_bytes: int
) -> None:
    """Keep a response; the oldest of the same owner go, if there are more than `most_bytes`."""
    forget(connection, owner, kept.id)
    connection.execute(
        insert(kept_responses).values(
            owner=owner.hex(),
            id=kept.id,
            created=round(now * _MICRO),
            size=kept.size,
            response=zlib.compress(kept.response, _LEVEL),
            input=zlib.compress(kept.input, _LEVEL),
            request_id=kept.request_id,
            token=kept.token,
        )
    )
    mine = _of.owner == owner.hex()
    over = (connection.scalar(select(func.sum(_of.size)).where(mine)) or 0) - most_bytes
    while over > 0:
        query = select(_of.id, _of.size).where(mine, _of.id != kept.id)
        rows = connection.execute(query.order_by(_of.created).limit(_OLDEST)).all()
        gone = []
        for row in rows:
            if over <= 0:
                break
            gone.append(row.id)
            over -= row.size
        if not gone:
            return
        connection.execute(delete(kept_responses).where(mine, _of.id.in_(gone)))


def forget(connection: Connection, owner: bytes, id: str) -> bool:
    """Delete a response; say whether there was one."""
    gone = delete(kept_responses).where(_of.owner == owner.hex(), _of.id == id)
    return bool(connection.execute(gone).rowcount)
