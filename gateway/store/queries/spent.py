"""What each token has spent since a midnight, from the roll-ups."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from ...core.records.periods import DAY
from ..engine.schema import rollups
from ..writing.rows import NAME


def spent_since(connection: Connection, since_us: int) -> dict[str, int]:
    """Return billionths of a dollar by the token's name; `since_us` is a midnight in UTC."""
    query = (
        select(rollups.c.token, func.sum(rollups.c.cost_nano_usd))
        .where(rollups.c.period == DAY, rollups.c.start >= since_us)
        .group_by(rollups.c.token)
    )
    return {token: int(cost) for token, cost in connection.execute(query) if cost}


def name_of(token: str) -> str:
    """Return the token's name as the roll-ups have it: cut off after `NAME` characters."""
    return token[:NAME]
