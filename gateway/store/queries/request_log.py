"""The log of requests: pages of it, and one request with all of its attempts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select

from ...errors import InvalidRequest
from ..engine.ids import first_id, time_of
from ..engine.schema import attempts, requests
from . import cursor as cursors
from .conditions import id_range
from .cursor import Cursor
from .filters import Filter
from .index_scan import IndexScan

MAX_LIMIT: Final = 1000
# At most this many requests can be sorted: each page reads them all.
MAX_SORTED: Final = 500_000

Sort = Literal["time", "latency", "first_event", "cost", "tokens"]
_DAY_US: Final = 86_400_000_000
_of: Final = requests.c
# NULLs become a number, which sorts first: a row value with a NULL is neither less nor more.
_KEYS: Final[dict[str, ColumnElement[Any]]] = {
    "latency": _of.latency_us,
    "first_event": func.coalesce(_of.first_event_us, -1),
    "cost": func.coalesce(_of.cost_nano_usd, -1),
    "tokens": func.coalesce(_of.input_tokens, 0) + func.coalesce(_of.output_tokens, 0),
}
SORTS: Final = ("time", *_KEYS)
# A caller that sends its own request ids may send one again.
_MAX_EQUAL: Final = 10
# Keys are times of arrival, and an answer may take minutes. So what has just ended is looked for
# among what came within an hour, and a busy hour's newest rows: 5,000 take some 5 ms.
_LONGEST_US: Final = 3_600_000_000
_LOOKED_AT: Final = 5000


class RequestPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some rows, by column; `next` is the cursor of those that follow, None at the end.

    An `id` is a text, since a JavaScript number cannot hold it. `scanned_until` (microseconds) is
    set if the page is not full because a longer search would take too long: the page has all
    matches up to that time, and `next` goes on from there.
    """

    rows: list[dict[str, Any]]
    next: str | None = None
    scanned_until: int | None = None


def page(
    connection: Connection,
    wanted: Filter,
    *,
    sort: Sort = "time",
    descending: bool = True,
    after: str | None = None,
    limit: int = 100,
    budget: int | None = None,
    now: float | None = None,
) -> RequestPage:
    """Return what the filter chooses, `limit` rows of it, from the cursor `after` on.

    An order other than by time works for up to `MAX_SORTED` requests, without `since` for those of
    the last 24 hours. Raises InvalidRequest for more, an invalid limit, or a cursor of another
    query. `budget` is how many rows a page may look at.
    """
    cursors.check_limit(limit, MAX_LIMIT)
    query = cursors.query_of(wanted, sort, descending)
    start = cursors.read(after, query) if after else None
    if sort not in SORTS:
        raise InvalidRequest(f"sort must be one of {', '.join(SORTS)}.", param="sort")
    if sort == "time":
        return _by_time(connection, wanted, query, start, descending, limit, budget)
    if start is None:
        now_us = round((time.time() if now is None else now) * 1_000_000)
        until = now_us if wanted.until is None else wanted.until
        since = until - _DAY_US if wanted.since is None else wanted.since
        start = Cursor(query, -1, -1, first_id(max(0, since)), first_id(until))
    return _by_value(connection, wanted, start, sort, descending, limit)


def just_ended(
    connection: Connection, wanted: Filter, since: int, *, limit: int = 100
) -> list[dict[str, Any]]:
    """Return what passes the filter and has ended since then (µs), by arrival, newest first."""
    ended = _of.time + _of.latency_us >= since
    low, high = id_range(msgspec.structs.replace(wanted, since=since - _LONGEST_US, until=None))
    scan = IndexScan(connection, wanted, low, high, descending=True, also=[ended])
    rows, _ = scan.read(limit, _LOOKED_AT)
    return [as_dict(row) for row in rows]


def one(connection: Connection, request_id: str) -> list[dict[str, Any]]:
    """Return the requests of that id, newest first, each with its attempts as `tried`."""
    found = connection.execute(
        select(requests)
        .where(_of.request_id == request_id)
        .order_by(_of.id.desc())
        .limit(_MAX_EQUAL)
    ).all()
    tries = connection.execute(
        select(attempts)
        .where(attempts.c.request.in_([row.id for row in found]))
        .order_by(attempts.c.number)
    ).all()
    rows = []
    for row in found:
        mine = [dict(each._mapping) for each in tries if each.request == row.id]
        for each in mine:
            del each["request"]
        rows.append({**as_dict(row), "tried": mine})
    return rows


def latest(connection: Connection, request_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the newest request of each id, by the id; those that are not on record are absent."""
    found = connection.execute(
        select(requests)
        .where(_of.request_id.in_(request_ids[:MAX_LIMIT]))
        .order_by(_of.id)
        .limit(_MAX_EQUAL * MAX_LIMIT)
    )
    return {row.request_id: as_dict(row) for row in found}


def as_dict(row: Row[Any]) -> dict[str, Any]:
    """Return a row of `requests` by column, as JSON can hold it."""
    found = dict(row._mapping)
    found["id"] = str(found["id"])
    for name in ("metadata", "skipped", "labels", "dropped"):
        if found[name] is not None:
            found[name] = msgspec.json.decode(found[name])
    return found


def _by_time(
    connection: Connection,
    wanted: Filter,
    query: str,
    start: Cursor | None,
    descending: bool,
    limit: int,
    budget: int | None,
) -> RequestPage:
    if start is None:
        window = low, high = id_range(wanted)
    else:
        window = low, high = start.low, start.high
        low, high = (low, start.id) if descending else (start.id + 1, high)
    scan = IndexScan(connection, wanted, low, high, descending=descending)
    rows, edge = scan.read(limit + 1, max(budget or scan.budget, limit + 1))
    last = edge
    if len(rows) > limit:
        last, edge = rows[limit - 1].id, None
    return RequestPage(
        rows=[as_dict(row) for row in rows[:limit]],
        next=None if last is None else cursors.write(Cursor(query, -1, last, *window)),
        scanned_until=None if edge is None else time_of(edge),
    )


def _by_value(
    connection: Connection,
    wanted: Filter,
    start: Cursor,
    sort: Sort,
    descending: bool,
    limit: int,
) -> RequestPage:
    found = IndexScan(connection, wanted, start.low, start.high, descending=True)
    if found.nth(MAX_SORTED + 1) is not None:
        raise InvalidRequest(
            f"There are more than {MAX_SORTED} requests to sort by {sort}: choose a shorter time"
            f" by since and until, or sort by time.",
            param="sort",
        )
    key = _KEYS[sort]
    if connection.dialect.name == "postgresql":
        # Joined to the keys of an index, PostgreSQL's planner reads all requests beside them.
        keys = select(_of.id).where(*found.all())
    else:
        keys = found.rows(MAX_SORTED).with_only_columns(_of.id)
    if start.id >= 0:
        keys = keys.where(
            or_(key < start.key, and_(key == start.key, _of.id < start.id))
            if descending
            else or_(key > start.key, and_(key == start.key, _of.id > start.id))
        )
    order = (key.desc(), _of.id.desc()) if descending else (key, _of.id)
    # Only what is shown is read whole: to sort whole rows takes three times as long.
    shown = keys.add_columns(key.label("sort_key")).order_by(*order).limit(limit + 1).subquery()
    by = (shown.c.sort_key, shown.c.id)
    query = (
        select(requests, shown.c.sort_key)
        .select_from(shown.join(requests, shown.c.id == _of.id))
        .order_by(*(each.desc() for each in by) if descending else by)
    )
    rows = connection.execute(query).all()
    after = None
    if len(rows) > limit:
        last = rows[limit - 1]
        after = cursors.write(Cursor(start.query, last.sort_key, last.id, start.low, start.high))
    return RequestPage(rows=[_without_key(row) for row in rows[:limit]], next=after)


def _without_key(row: Row[Any]) -> dict[str, Any]:
    found = as_dict(row)
    del found["sort_key"]
    return found
