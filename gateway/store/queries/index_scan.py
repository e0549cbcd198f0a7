"""A scan of one index in the order of time, whose rows are checked against the other conditions.

No index serves every combination of filters. So the rows of the best single index are read in the
order of time, in growing strides, until a page is full or the budget is spent. A page costs the
same however rare the matches are, and the next page goes on where it stopped.

Planners without statistics, or with outdated ones, choose badly: they sort a million rows by time,
or read millions in the order of time for a token that was used twice. So one query takes the keys
from one index, and the rows are fetched by these keys, in their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, or_, select, true, union_all
from sqlalchemy.sql.expression import literal_column

from ..engine.schema import requests
from . import conditions
from .filters import Filter

_id: Final = requests.c.id
# Columns with an index. All but that of `request_id`, which has few rows of each, continue by `id`.
_INDEXED: Final = ("request_id", "token", "model", "provider", "session", "user")
# Each value is scanned by itself and the results are merged, which is not cheap for many.
_MAX_VALUES: Final = 16
# How many rows of each index are compared, to see which index reaches further back.
_PROBE: Final = 1000
# How many rows a page may look at, so that it takes about 20 ms of either engine's time; by whether
# an index is used and whether a text is searched. Rows in the order of time are stored beside each
# other, those of an index are scattered; and searching a text takes longer than reading its row.
_BUDGETS: Final = {
    (False, False): 25_000,
    (False, True): 8_000,
    (True, False): 4_000,
    (True, True): 2_500,
}
# The first stride; each is four times as long as the one before.
_STRIDE: Final = 500


class IndexScan:
    """Requests from key `low` to before `high`, by the best index for the filter.

    `also` are conditions beside those of the filter.
    """

    def __init__(
        self,
        connection: Connection,
        wanted: Filter,
        low: int,
        high: int,
        *,
        descending: bool,
        also: Sequence[ColumnElement[bool]] = (),
    ) -> None:
        self.connection = connection
        self.low, self.high = low, high
        self.descending = descending
        others = conditions.parts(wanted, connection.dialect.name, indexed=False)
        self._index: list[ColumnElement[bool]] = []
        if name := self._best(indexes := _indexes(wanted)):
            self._index = indexes[name]
            # The index of failures also has rows that only have such a status, or only failed.
            others.pop(name, None)
        self._others = [*others.values(), *also]
        self.budget = _BUDGETS[bool(self._index), bool(wanted.text)]

    def nth(self, count: int, index: Sequence[ColumnElement[bool]] | None = None) -> int | None:
        """Return the key of row number `count` of the index; None if it has fewer."""
        keys = self._keys(self._index if index is None else index, count)
        return self.connection.execute(keys.limit(_literal(1)).offset(_literal(count - 1))).scalar()

    def read(self, count: int, budget: int) -> tuple[list[Row[Any]], int | None]:
        """Return up to `count` matching rows in order, and the key up to which the scan came.

        The key is None if the scan came to its end, or found `count` rows within the budget.
        """
        if not self._others:
            return self._rows(count, count), None
        found: list[Row[Any]] = []
        stride, seen = _STRIDE, 0
        while True:
            stride = min(stride, budget - seen)
            edge, low, high = self.nth(stride), self.low, self.high
            if edge is not None:
                self.low, self.high = (edge, high) if self.descending else (low, edge + 1)
            # Twice the stride: rows may have been added in it since its edge was found.
            found += self._rows(count - len(found), 2 * stride)
            seen += stride
            if edge is None or len(found) == count:
                return found, None
            if seen == budget:
                return found, edge
            self.low, self.high = (low, edge) if self.descending else (edge + 1, high)
            stride *= 4

    def rows(self, most: int) -> Select[Any]:
        """Return the query of the filter's rows among the first `most` of the index."""
        if not self._index:
            query = select(requests).where(_id >= self.low, _id < self.high)
        else:
            keys = self._keys(self._index, most).subquery()
            query = select(requests).select_from(keys.join(requests, keys.c.id == _id))
        return query.where(*self._others)

    def all(self) -> list[ColumnElement[bool]]:
        """Return the conditions of all of the filter's rows, as the index has them."""
        return [_id >= self.low, _id < self.high, *([or_(*self._index)] if self._index else []),
                *self._others]  # fmt: skip

    def _rows(self, count: int, most: int) -> list[Row[Any]]:
        if self._index and self.connection.dialect.name == "postgresql":
            keys = self._keys(self._index, most).subquery()
            # An OFFSET keeps the planner from merging the subquery, which is run for each key.
            # Merged, a planner that expects few matches reads all requests first.
            row = select(requests).where(_id == keys.c.id, *self._others).offset(_literal(0))
            found = row.lateral("row")
            query = select(found).select_from(keys.join(found, true()))
            query = query.order_by(self._order(keys.c.id))
        else:
            query = self.rows(most).order_by(self._order(_id))
        return [*self.connection.execute(query.limit(count))]

    def _keys(self, index: Sequence[ColumnElement[bool]], most: int) -> Select[Any]:
        within = select(_id).where(_id >= self.low, _id < self.high)
        each = [
            query.order_by(self._order(_id)).limit(_literal(most))
            for query in ([within.where(condition) for condition in index] or [within])
        ]
        if len(each) == 1:
            return each[0]
        merged = union_all(*(select(one.subquery().c.id) for one in each)).subquery()
        return select(merged.c.id).order_by(self._order(merged.c.id)).limit(_literal(most))

    def _order(self, key: ColumnElement[int]) -> ColumnElement[int]:
        return key.desc() if self.descending else key.asc()

    def _best(self, indexes: Mapping[str, list[ColumnElement[bool]]]) -> str | None:
        """Return the name of the index with the fewest rows for the time."""
        if len(indexes) < 2:
            return next(iter(indexes), None)
        reach: dict[str, int] = {}
        for name, index in indexes.items():
            at = self.nth(_PROBE, index)
            if at is None:
                return name
            reach[name] = -at if self.descending else at
        return max(reach, key=reach.__getitem__)


def _indexes(wanted: Filter) -> dict[str, list[ColumnElement[bool]]]:
    """Return the conditions for each index that serves the filter; they exclude each other."""
    found = {
        name: [requests.c[name] == value for value in values]
        for name in _INDEXED
        if 0 < len(values := getattr(wanted, name)) <= _MAX_VALUES
    }
    if wanted.failed or (wanted.status and all(each[0] in "45e" for each in wanted.status)):
        found["failure"] = [conditions.failure_condition()]
    return found


def _literal(number: int) -> ColumnElement[int]:
    # In the statement's text: a plan made before the number is known assumes a tenth of all rows.
    # There are few different numbers, so prepared statements are still reused.
    return literal_column(str(number))
