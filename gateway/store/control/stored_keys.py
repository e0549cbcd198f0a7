"""The keys that are kept in the database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy import Connection, Row, func, insert, or_, select, update

from ...config.keys.stored import KeyState, StoredKey
from ...config.keys.tables import TokenTerms
from ..engine.control_tables import api_keys

_of: Final = api_keys.c
_MICRO: Final = 1_000_000
_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(TokenTerms)

_log = structlog.get_logger(__name__)


def find(connection: Connection, name: str) -> StoredKey | None:
    row = connection.execute(select(api_keys).where(_of.name == name)).first()
    return None if row is None else _key(row)


def holder(connection: Connection, digest: bytes) -> str | None:
    """Return the name of the key with that secret, of now or before."""
    same = or_(_of.digest == digest.hex(), _of.previous == digest.hex())
    found: str | None = connection.scalar(select(_of.name).where(same).limit(1))
    return found


def changed_since(connection: Connection, generation: int) -> list[StoredKey]:
    """Return the keys that were changed after a generation; all of them after 0."""
    rows = connection.execute(select(api_keys).where(_of.generation > generation))
    return [*_readable(rows)]


def page(
    connection: Connection,
    *,
    after: str = "",
    limit: int = 100,
    text: str = "",
    team: tuple[str, ...] = (),
    states: tuple[str, ...] = (),
) -> list[StoredKey]:
    """Return `limit` keys by name, in the order of code points, from the one after `after` on.

    Keys whose name contains `text`, of one of those teams and states.
    """
    name: Any = _of.name
    if connection.dialect.name == "postgresql":
        # Its own order depends on the locale.
        name = _of.name.collate("C")
    query = select(api_keys).where(name > after)
    if text:
        query = query.where(func.lower(_of.name).contains(text.lower(), autoescape=True))
    if team:
        query = query.where(_of.team.in_(team))
    if states:
        query = query.where(_of.state.in_(states))
    return [*_readable(connection.execute(query.order_by(name).limit(limit)))]


def add(connection: Connection, key: StoredKey, generation: int) -> None:
    connection.execute(insert(api_keys).values(name=key.name, **_values(key, generation)))


def replace(connection: Connection, key: StoredKey, generation: int) -> None:
    """Put `key` in the place of the one with its name."""
    connection.execute(
        update(api_keys).where(_of.name == key.name).values(**_values(key, generation))
    )


def _values(key: StoredKey, generation: int) -> dict[str, Any]:
    until = key.previous_until
    return {
        "digest": key.digest.hex(),
        "previous": None if key.previous is None else key.previous.hex(),
        "previous_until": None if until is None else round(until * _MICRO),
        "state": key.state.value,
        "terms": _encode(key.terms).decode(),
        "team": key.terms.team,
        "generation": generation,
        "version": key.version,
        "created": round(key.created * _MICRO),
        "created_by": key.created_by,
        "changed": round(key.changed * _MICRO),
        "changed_by": key.changed_by,
    }


def _readable(rows: Any) -> Iterator[StoredKey]:
    for row in rows:
        try:
            yield _key(row)
        except (msgspec.MsgspecError, ValueError) as exc:
            # A newer gateway on the same database may have written what this one does not know.
            # The others work all the same, and this one lets nobody in.
            _log.error("a key in the database cannot be read", name=row.name, error=str(exc))


def _key(row: Row[Any]) -> StoredKey:
    until = row.previous_until
    return StoredKey(
        name=row.name,
        digest=bytes.fromhex(row.digest),
        terms=_decoder.decode(row.terms),
        state=KeyState(row.state),
        previous=None if row.previous is None else bytes.fromhex(row.previous),
        previous_until=None if until is None else until / _MICRO,
        version=row.version,
        created=row.created / _MICRO,
        created_by=row.created_by,
        changed=row.changed / _MICRO,
        changed_by=row.changed_by,
    )
