"""Rows to be exported, read a page at a time in key order, each page in a short transaction.

One long read would be simpler, but it would keep SQLite from checkpointing its write-ahead log
(sqlite.org/wal.html, "Avoiding Excessively Large WAL Files"), and PostgreSQL from vacuuming. So a
page ends after a number of rows; and, since a filter may match one row in a million, also after a
stretch of keys. The stretch grows while pages are fast and shrinks when they are slow. Without it
the search for the next match would be one long read again.

The newest key is looked up once, at the beginning: new rows may come faster than a slow reader
takes them, and an export that followed them would never end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, select, tuple_

from .columns import Column, Columns, ColumnSpec

PAGE_ROWS: Final = 1000
# A page that takes longer than these seconds is followed by a shorter stretch of keys. A stretch
# never gets shorter than 1/16 of the first, since a page may be slow for other reasons.
_LONG: Final = 0.1
_SHORTEST: Final = 16


class RowSource:
    """Rows of one table, by the columns of its key.

    `stretch` is how much of the first key column the first page looks through.
    """

    fields: tuple[ColumnSpec, ...]
    key: tuple[ColumnElement[Any], ...]
    stretch: int

    def within(self) -> ColumnElement[bool]:
        """Return the condition by which the first and the last row are found."""
        raise NotImplementedError

    def conditions(self, dialect: str) -> Sequence[ColumnElement[bool]]:
        """Return the conditions that choose among the rows between those two.

        Conditions that are true of all of them must be left out: SQLite seeks by one lower and one
        upper bound of a key. Given two, it may use the wrong one and read every row before.
        """
        raise NotImplementedError

    def selected(self) -> Select[Any]:
        """Return the query for all rows; the key's columns come first."""
        raise NotImplementedError

    def columns(self, connection: Connection, read: Columns) -> list[Column]:
        """Return the columns to be written, one for each of `fields`, from those read."""
        raise NotImplementedError

    def ends(self, connection: Connection) -> tuple[int, int] | None:
        """Return the first and last value of the first key column; None if there is no row."""
        place = self.key[0]
        query = select(place).where(self.within()).limit(1)
        first = connection.scalar(query.order_by(place))
        last = connection.scalar(query.order_by(place.desc()))
        return None if first is None or last is None else (first, last)

    def rows(
        self, connection: Connection, after: tuple[Any, ...], last: int, limit: int
    ) -> Sequence[Any]:
        """Return up to `limit` rows behind the key, or the beginning of one, `after`."""
        key = self.key[: len(after)]
        behind = key[0] > after[0] if len(after) == 1 else tuple_(*key) > tuple_(*after)
        conditions = self.conditions(connection.dialect.name)
        query = self.selected().where(behind, key[0] <= last, *conditions)
        return connection.execute(query.order_by(*self.key).limit(limit)).all()


class Pager:
    """Reads a source from its first row to the one that was last when the first page was read."""

    def __init__(
        self, source: RowSource, rows: int = PAGE_ROWS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.finished = False
        # From 0 to 1, measured by keys: the number of rows is not known without counting them.
        self.progress = 0.0
        self._source = source
        self._limit = rows
        self._clock = clock
        self._stretch = source.stretch
        self._first = self._last = 0
        self._after: tuple[Any, ...] = ()

    def next(self, connection: Connection) -> list[Column]:
        """Return the columns of the next page; none if no row matched, which is not the end."""
        began = self._clock()
        source = self._source
        if not self._after:
            ends = source.ends(connection)
            if ends is None:
                self.finished, self.progress = True, 1.0
                return []
            self._first, self._last = ends
            self._after = (self._first - 1,)
        until = min(self._after[0] + self._stretch, self._last)
        rows = source.rows(connection, self._after, until, self._limit)
        full = len(rows) == self._limit
        self._after = tuple(rows[-1][: len(source.key)]) if full else (until,)
        columns = source.columns(connection, [*zip(*rows, strict=True)]) if rows else []
        if self._clock() - began > _LONG:
            self._stretch = max(self._stretch // 2, self._source.stretch // _SHORTEST, 1)
        elif not full:
            self._stretch *= 2
        self.finished = not full and until == self._last
        done, whole = self._after[0] - self._first + 1, self._last - self._first + 1
        self.progress = 1.0 if self.finished else min(done / whole, 1.0)
        return columns
