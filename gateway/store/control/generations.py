"""How often something has changed, so that a process sees cheaply whether it has to read it."""

from __future__ import annotations

import secrets
from typing import Final, TypeAlias

from sqlalchemy import Connection, select, text

from ..engine.control_tables import generations
from ..held.jobs import CHANNEL

# A connection in a transaction, for who must not know SQLAlchemy.
Transaction: TypeAlias = Connection

KEYS: Final = "keys"
DEPLOYMENTS: Final = "deployments"
CANCELLATIONS: Final = "cancellations"
CAPTURE_WINDOWS: Final = "capture_windows"
GRANTS: Final = "grants"
RELOADS: Final = "reloads"
PROCESS_DRAINS: Final = "process_drains"

# No generation: a number that is another one in every database.
_IDENTITY: Final = "identity"

_RAISE: Final = text(
    "INSERT INTO generations (name, value) VALUES (:name, 1)"
    " ON CONFLICT (name) DO UPDATE SET value = generations.value + 1 RETURNING value"
)

_NAME: Final = text(
    "INSERT INTO generations (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING"
)

_NOTIFY: Final = text("SELECT pg_notify(:channel, :name)")


def advance(connection: Connection, name: str) -> int:
    """Return the generation of a change that begins now.

    To be called first: until the transaction ends every other change waits here, so that
    generations become visible in their order. PostgreSQL tells every process that listens, once
    the change is committed (`held/`).
    """
    generation = int(connection.execute(_RAISE, {"name": name}).scalar_one())
    if connection.dialect.name == "postgresql":
        connection.execute(_NOTIFY, {"channel": CHANNEL, "name": name})
    return generation


def current(connection: Connection) -> dict[str, int]:
    """Return the generations of all that has ever changed."""
    rows = connection.execute(select(generations.c.name, generations.c.value))
    return {name: value for name, value in rows}  # noqa: C416  # rows are no pairs to mypy


def identity(connection: Connection) -> str:
    """Return what tells this database from all others; a copy has that of its original."""
    connection.execute(_NAME, {"name": _IDENTITY, "value": secrets.randbits(62)})
    found = select(generations.c.value).where(generations.c.name == _IDENTITY)
    return f"{int(connection.execute(found).scalar_one()):016x}"
