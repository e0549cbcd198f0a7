"""The audit log, newest first, a page at a time."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, select, tuple_
from sqlalchemy.sql.expression import literal_column

from ..engine.schema import audit
from . import cursor as cursors
from .conditions import contains, unindexed
from .cursor import Cursor
from .filters import AUDIT_SEARCHED, LATEST, AuditFilter
from .request_log import MAX_LIMIT, RequestPage

# How many entries one page looks at.
BUDGET: Final = 20_000

_of: Final = audit.c
_searched: Final = [_of[name] for name in AUDIT_SEARCHED]
# The key decides the order of equal times, and of times that several processes mixed up.
_ORDER: Final = (_of.time.desc(), _of.id.desc())


def page(
    connection: Connection,
    wanted: AuditFilter,
    *,
    after: str | None = None,
    limit: int = 100,
    budget: int = BUDGET,
) -> RequestPage:
    """Return the entries that the filter chooses, newest first, from the cursor `after` on.

    Raises InvalidRequest for an invalid limit, or a cursor of another query.
    """
    cursors.check_limit(limit, MAX_LIMIT)
    query = cursors.query_of(wanted)
    low, high = wanted.since or 0, LATEST if wanted.until is None else wanted.until
    in_range = select(audit)
    if after:
        start = cursors.read(after, query)
        low, high = start.low, start.high
        in_range = in_range.where(tuple_(_of.time, _of.id) < (start.key, start.id))
    in_range = in_range.where(_of.time >= low, _of.time < high)
    others = _others(wanted, connection.dialect.name)
    # An action has an index of its own, in the same order; several would have to be sorted.
    if len(wanted.action) == 1:
        in_range = in_range.where(_of.action == wanted.action[0])
    edge = _nth(connection, in_range, max(budget, limit + 1)) if others else None
    chosen = in_range.where(*others)
    if edge is not None:
        chosen = chosen.where(tuple_(_of.time, _of.id) >= edge)
    rows = connection.execute(chosen.order_by(*_ORDER).limit(limit + 1)).all()
    last, until = edge, None if edge is None else edge[0]
    if len(rows) > limit:
        last, until = (rows[limit - 1].time, rows[limit - 1].id), None
    return RequestPage(
        rows=[_as_dict(row._mapping) for row in rows[:limit]],
        next=last and cursors.write(Cursor(query, *last, low, high)),
        scanned_until=until,
    )


def _others(wanted: AuditFilter, dialect: str) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        _of[name].in_(values) for name in ("actor", "result") if (values := getattr(wanted, name))
    ]
    if len(wanted.action) > 1:
        found.append(unindexed(_of.action, dialect).in_(wanted.action))
    return [*found, contains(_searched, wanted.text, dialect)] if wanted.text else found


def _nth(connection: Connection, in_range: Select[Any], count: int) -> tuple[int, int] | None:
    keys = in_range.with_only_columns(_of.time, _of.id).order_by(*_ORDER)
    row = connection.execute(
        keys.limit(literal_column("1")).offset(literal_column(str(count - 1)))
    ).first()
    return None if row is None else (row.time, row.id)


def _as_dict(row: Any) -> dict[str, Any]:
    try:
        details = msgspec.json.decode(row["details"])
    except msgspec.DecodeError:
        # Altered since it was written. It is shown as it is; `audit verify` says more.
        details = row["details"]
    return {**row, "details": details}
