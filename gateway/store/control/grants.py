"""Secrets that stand for a key for minutes, each kept as its hash."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from ..engine.control_tables import grants
from .generations import GRANTS, advance

_of: Final = grants.c
_MICRO: Final = 1_000_000


class KeyGrant(msgspec.Struct, frozen=True, kw_only=True):
    """Who may call as the key `token` until then, in Unix seconds, with the secret of `digest`."""

    digest: bytes
    token: str
    until: float
    granted_to: str | None = None


def valid_grants(connection: Connection, now: float) -> list[KeyGrant]:
    """Return those that are not over."""
    query = select(grants).where(_of.until > round(now * _MICRO))
    return [
        KeyGrant(
            digest=bytes.fromhex(row.digest),
            token=row.token,
            until=row.until / _MICRO,
            granted_to=row.granted_to,
        )
        for row in connection.execute(query)
    ]


def count_of(connection: Connection, granted_to: str | None, now: float) -> int:
    """Return how many valid ones somebody has."""
    query = select(func.count()).select_from(grants)
    query = query.where(_of.granted_to == granted_to, _of.until > round(now * _MICRO))
    return int(connection.scalar(query) or 0)


def end_of(connection: Connection, granted_to: str) -> int:
    """End what somebody was granted, and return how many there were; every process follows."""
    if not connection.scalar(select(_of.digest).where(_of.granted_to == granted_to).limit(1)):
        return 0
    advance(connection, GRANTS)
    return connection.execute(delete(grants).where(_of.granted_to == granted_to)).rowcount


def add(connection: Connection, grant: KeyGrant, now: float) -> None:
    """Keep `grant`, and forget those that are over."""
    connection.execute(delete(grants).where(_of.until <= round(now * _MICRO)))
    connection.execute(
        insert(grants).values(
            digest=grant.digest.hex(),
            token=grant.token,
            until=round(grant.until * _MICRO),
            granted_to=grant.granted_to,
        )
    )
