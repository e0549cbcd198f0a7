"""What operators have told the gateway of deployments, by their names: "provider/model"."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, insert, or_, select

from ..engine.control_tables import deployments

_of: Final = deployments.c
_MICRO: Final = 1_000_000


class DeploymentOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Until when it is drained, in Unix seconds, by whom and why; how often it was reset."""

    name: str
    drained_until: float | None = None
    drained_by: str | None = None
    reason: str | None = None
    resets: int = 0


def find(connection: Connection, name: str) -> DeploymentOrder | None:
    row = connection.execute(select(deployments).where(_of.name == name)).first()
    return None if row is None else _order(row)


def all_orders(connection: Connection) -> list[DeploymentOrder]:
    """Return all; there are as many as deployments at most, so they are read whole."""
    return [_order(row) for row in connection.execute(select(deployments))]


def put(connection: Connection, order: DeploymentOrder, generation: int, now: float) -> None:
    """Put `order` in the place of the one with its name, and forget what is over for a day."""
    old = round((now - 86_400) * _MICRO)
    over = or_(_of.drained_until.is_(None), _of.drained_until < old)
    connection.execute(
        delete(deployments).where(or_(_of.name == order.name, over & (_of.changed < old)))
    )
    until = order.drained_until
    values = {
        "name": order.name,
        "drained_until": None if until is None else round(until * _MICRO),
        "drained_by": order.drained_by,
        "reason": order.reason,
        "resets": order.resets,
        "generation": generation,
        "changed": round(now * _MICRO),
    }
    connection.execute(insert(deployments).values(**values))


def _order(row: Row[Any]) -> DeploymentOrder:
    until = row.drained_until
    return DeploymentOrder(
        name=row.name,
        drained_until=None if until is None else until / _MICRO,
        drained_by=row.drained_by,
        reason=row.reason,
        resets=row.resets,
    )
