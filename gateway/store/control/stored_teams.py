"""The teams that are kept in the database, and how many keys each has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from ...config.keys.stored import KeyState, StoredTeam
from ...config.keys.tables import TeamTerms
from ..engine.control_tables import api_keys, teams

_of: Final = teams.c
_MICRO: Final = 1_000_000
_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(TeamTerms)

_log = structlog.get_logger(__name__)


def find(connection: Connection, name: str) -> StoredTeam | None:
    row = connection.execute(select(teams).where(_of.name == name)).first()
    return None if row is None else _team(row)


def all_teams(connection: Connection) -> list[StoredTeam]:
    """Return all of them; there are far fewer teams than keys."""
    return [*_readable(connection.execute(select(teams)))]


def members(connection: Connection) -> dict[str, int]:
    """Return how many keys of the database each team has, the revoked ones left out."""
    query = (
        select(api_keys.c.team, func.count())
        .where(api_keys.c.team.is_not(None), api_keys.c.state != KeyState.REVOKED.value)
        .group_by(api_keys.c.team)
    )
    return {name: int(count) for name, count in connection.execute(query)}


def add(connection: Connection, team: StoredTeam) -> None:
    connection.execute(insert(teams).values(name=team.name, **_values(team)))


def replace(connection: Connection, team: StoredTeam) -> None:
    """Put `team` in the place of the one with its name."""
    connection.execute(update(teams).where(_of.name == team.name).values(**_values(team)))


def remove(connection: Connection, name: str) -> None:
    connection.execute(delete(teams).where(_of.name == name))


def _values(team: StoredTeam) -> dict[str, Any]:
    return {
        "terms": _encode(team.terms).decode(),
        "generation": team.version,
        "created": round(team.created * _MICRO),
        "created_by": team.created_by,
        "changed": round(team.changed * _MICRO),
        "changed_by": team.changed_by,
    }


def _readable(rows: Any) -> Iterator[StoredTeam]:
    for row in rows:
        try:
            yield _team(row)
        except msgspec.MsgspecError as exc:
            # A newer gateway on the same database may have written what this one does not know.
            _log.error("a team in the database cannot be read", name=row.name, error=str(exc))


def _team(row: Row[Any]) -> StoredTeam:
    return StoredTeam(
        name=row.name,
        terms=_decoder.decode(row.terms),
        version=row.generation,
        created=row.created / _MICRO,
        created_by=row.created_by,
        changed=row.changed / _MICRO,
        changed_by=row.changed_by,
    )
