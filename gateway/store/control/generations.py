"""How often something has changed, so that a process sees cheaply whether it has to read it."""

from __future__ import annotations

from typing import Final, TypeAlias

from sqlalchemy import Connection, select, text

from ..engine.control_tables import generations

# A connection in a transaction, for who must not know SQLAlchemy.
Transaction: TypeAlias = Connection

KEYS: Final = "keys"
DEPLOYMENTS: Final = "deployments"
CANCELLATIONS: Final = "cancellations"
CAPTURE_WINDOWS: Final = "capture_windows"
GRANTS: Final = "grants"

_RAISE: Final = text(
    "INSERT INTO generations (name, value) VALUES (:name, 1)"
    " ON CONFLICT (name) DO UPDATE SET value = generations.value + 1 RETURNING value"
)


def advance(connection: Connection, name: str) -> int:
    """Return the generation of a change that begins now.

    To be called first: until the transaction ends every other change waits here, so that
    generations become visible in their order.
    """
    return int(connection.execute(_RAISE, {"name": name}).scalar_one())


def current(connection: Connection) -> dict[str, int]:
    """Return the generations of all that has ever changed."""
    rows = connection.execute(select(generations.c.name, generations.c.value))
    return {name: value for name, value in rows}  # noqa: C416  # rows are no pairs to mypy
