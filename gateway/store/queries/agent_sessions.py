"""Sessions of agents, newest first: requests that have a session, or a user, in common.

A session stands where its newest request that the filter chooses stands, so a page is found by
going back through the requests until it is full, and costs the same however long sessions are. What
came in meanwhile moves a session to the front, and not into a page that comes later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, cast, func, select

from ..engine.ids import time_of
from ..engine.schema import requests
from . import conditions
from . import cursor as cursors
from .conditions import id_range
from .cursor import Cursor
from .filters import Filter
from .index_scan import IndexScan

SessionKind = Literal["session", "user"]
KINDS: Final = ("session", "user")
MAX_LIMIT: Final = 200
# The first stride of rows that are looked at; each is four times as long as the one before.
_STRIDE: Final = 2000
# How many rows a page may look at. Where the index of sessions by time serves, a row costs half a
# microsecond; else as much as in `index_scan`, whose budget is for pages that are half as dear.
_INDEXED_BUDGET: Final = 100_000
_TIMES: Final = 2
# Sessions that are asked for in one statement.
_CHUNK: Final = 500
_of: Final = requests.c


class SessionTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over requests; times are microseconds. `cost_nano_usd` is None where none is known."""

    requests: int
    errors: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_nano_usd: int | None
    cost_unknown: int
    first: int
    last: int


class AgentSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session, or a user, with the totals of all its requests on record.

    What else there is, is of its newest request.
    """

    id: str
    totals: SessionTotals
    token: str | None
    team: str | None
    model: str | None
    user: str | None
    user_agent: str | None


class SessionPage(msgspec.Struct, frozen=True, kw_only=True):
    """`next` and `scanned_until` are as in `request_log.RequestPage`."""

    rows: list[AgentSession]
    next: str | None = None
    scanned_until: int | None = None


def page(
    connection: Connection,
    wanted: Filter,
    *,
    by: SessionKind = "session",
    after: str | None = None,
    limit: int = 50,
    budget: int | None = None,
) -> SessionPage:
    """Return sessions with a request that the filter chooses, from the cursor `after` on.

    Raises InvalidRequest for an invalid limit or a cursor of another query. `budget` is how many
    requests a page may look at.
    """
    cursors.check_limit(limit, MAX_LIMIT)
    query = cursors.query_of(wanted, "sessions", by)
    start = cursors.read(after, query) if after else None
    low, high = id_range(wanted) if start is None else (start.low, start.high)
    search = _Search(connection, wanted, by, (low, high), high if start is None else start.id)
    found, edge = search.read(limit + 1, budget)
    last = edge
    if len(found) > limit:
        last, edge = found[limit - 1][1], None
    return SessionPage(
        rows=described(connection, by, [name for name, _ in found[:limit]]),
        next=None if last is None else cursors.write(Cursor(query, -1, last, low, high)),
        scanned_until=None if edge is None else time_of(edge),
    )


class _Search:
    """Goes back from the key `upper` within a window of keys, for sessions not seen before."""

    def __init__(
        self,
        connection: Connection,
        wanted: Filter,
        by: SessionKind,
        window: tuple[int, int],
        upper: int,
    ) -> None:
        self._connection = connection
        self._column: ColumnElement[Any] = _of[by]
        self._low, self._high = window
        self._upper = upper
        self._scan = IndexScan(connection, wanted, self._low, upper, descending=True)
        self._others = conditions.parts(wanted, connection.dialect.name, indexed=False)
        plain = not self._others and by == "session"
        # Of all requests only those are counted that have a session: these have their own index.
        self._index = [_of.session.is_not(None)] if plain else None
        self._budget = _INDEXED_BUDGET if plain else self._scan.budget * _TIMES
        self._seen: set[str] = set()

    def read(self, count: int, budget: int | None) -> tuple[list[tuple[str, int]], int | None]:
        """Return up to `count` sessions with the keys of their newest requests.

        And the key up to which the search came, None if it came to the end or is full.
        """
        budget = max(budget or self._budget, count)
        scan = self._scan
        found: list[tuple[str, int]] = []
        stride, looked = _STRIDE, 0
        while True:
            stride = min(stride, budget - looked)
            edge = scan.nth(stride, self._index)
            low = self._low if edge is None else edge
            scan.low = low
            found += self._fresh(self._newest(stride), count - len(found))
            looked += stride
            if edge is None or len(found) >= count:
                return found, None
            if looked >= budget:
                return found, edge
            scan.low, scan.high = self._low, low
            stride *= 4

    def _newest(self, stride: int) -> list[tuple[str, int]]:
        """Return the sessions of a stride, newest first."""
        newest = func.max(_of.id).label("newest")
        query = (
            self._scan.rows(2 * stride)
            .with_only_columns(self._column, newest)
            .where(self._column.is_not(None), self._column != "")
            .group_by(self._column)
            .order_by(newest.desc())
        )
        return [(row[0], row[1]) for row in self._connection.execute(query)]

    def _fresh(self, candidates: Sequence[tuple[str, int]], count: int) -> list[tuple[str, int]]:
        """Return the first of the candidates that stand on no earlier page, nor in this one."""
        new = [each for each in candidates if each[0] not in self._seen]
        self._seen.update(name for name, _ in new)
        if self._upper >= self._high:
            return new[:count]
        found: list[tuple[str, int]] = []
        for start in range(0, len(new), _CHUNK):
            chunk = new[start : start + _CHUNK]
            before = self._before([name for name, _ in chunk])
            found += [each for each in chunk if each[0] not in before]
            if len(found) >= count:
                break
        return found[:count]

    def _before(self, names: Sequence[str]) -> set[str]:
        """Return those that have a newer request, and so stand on an earlier page."""
        query = (
            select(self._column)
            .where(
                self._column.in_(names),
                _of.id >= self._upper,
                _of.id < self._high,
                *self._others.values(),
            )
            .distinct()
        )
        return {*self._connection.execute(query).scalars()}


def totals(
    connection: Connection,
    by: SessionKind,
    names: Sequence[str],
    *where: ColumnElement[bool],
) -> dict[str, tuple[SessionTotals, int]]:
    """Return the sums of each, and the key of its newest request; of no request, there is none."""
    column: ColumnElement[Any] = _of[by]
    query = (
        select(column, *sums(), func.min(_of.id), func.max(_of.id))
        .where(column.in_(names), *where)
        .group_by(column)
    )
    return {row[0]: (made(row[1:-2], row[-2], row[-1]), row[-1])
            for row in connection.execute(query)}  # fmt: skip


def sums() -> list[ColumnElement[Any]]:
    """Return what is added up of requests, from an index alone."""
    cost, tokens = _of.cost_nano_usd, _of.input_tokens
    unknown = func.count().filter(cost.is_(None), tokens.is_not(None))
    return [
        func.count(),
        func.count().filter(_of.failed.is_(True)),
        *(
            # PostgreSQL makes a NUMERIC of such a sum, and the driver a Decimal of that.
            cast(func.coalesce(func.sum(each), 0), BigInteger)
            for each in (tokens, _of.output_tokens, _of.cached_tokens, cost)
        ),
        unknown,
    ]


def made(values: Iterable[Any], first: int, last: int) -> SessionTotals:
    """Return the totals of what `sums` has given, between two keys."""
    count, errors, input_tokens, output_tokens, cached, cost, unknown = values
    return SessionTotals(
        requests=count,
        errors=errors,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=cached,
        cost_nano_usd=None if unknown and not cost else cost,
        cost_unknown=unknown,
        first=time_of(first),
        last=time_of(last),
    )


def together(one: SessionTotals, other: SessionTotals) -> SessionTotals:
    """Return the totals of both."""
    known = [each.cost_nano_usd for each in (one, other) if each.cost_nano_usd is not None]
    return SessionTotals(
        requests=one.requests + other.requests,
        errors=one.errors + other.errors,
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        cost_nano_usd=sum(known) if known else None,
        cost_unknown=one.cost_unknown + other.cost_unknown,
        first=min(one.first, other.first),
        last=max(one.last, other.last),
    )


def described(connection: Connection, by: SessionKind, names: Sequence[str]) -> list[AgentSession]:
    """Return the sessions of those names, in their order; what has no request is left out."""
    found = totals(connection, by, names)
    columns = (_of.id, _of.token, _of.team, _of.model, _of.user, _of.user_agent)
    newest = select(*columns).where(_of.id.in_([key for _, key in found.values()]))
    rows = {row.id: row for row in connection.execute(newest)}
    return [
        AgentSession(id=name, totals=found[name][0], **_of_request(rows[found[name][1]]))
        for name in names
        if name in found and found[name][1] in rows
    ]


def _of_request(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("token", "team", "model", "user", "user_agent")}
