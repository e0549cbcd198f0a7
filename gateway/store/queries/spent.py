"""What each token or each team has spent since a midnight, from the roll-ups."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection, func, select

from ...core.records.periods import DAY
from ..engine.schema import rollups, team_rollups
from ..writing.rows import NAME

SpentBy = Literal["token", "team"]


def spent_since(connection: Connection, since_us: int, by: SpentBy = "token") -> dict[str, int]:
    """Return billionths of a dollar by name; `since_us` is a midnight in UTC."""
    table = rollups if by == "token" else team_rollups
    name = table.c[by]
    query = (
        select(name, func.sum(table.c.cost_nano_usd))
        .where(table.c.period == DAY, table.c.start >= since_us)
        .group_by(name)
    )
    return {found: int(cost) for found, cost in connection.execute(query) if cost}


def name_of(name: str) -> str:
    """Return a name as the roll-ups have it: cut off after `NAME` characters."""
    return name[:NAME]
