"""The columns of an export, and what a format must do with them.

A page of rows is passed as columns: a format converts a whole column by one rule, which costs
about half of looking up the rule for each cell.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol


class ColumnKind(enum.Enum):
    """What a column holds as it is read; any cell may be None."""

    INTEGER = "integer"
    ID = "id"  # an integer of more digits than a JavaScript number can hold
    TEXT = "text"
    FLAG = "flag"
    TIME = "time"  # microseconds since 1970
    USD = "usd"  # billionths of a dollar, to be written as dollars
    JSON = "json"  # a text that is JSON
    COUNTS = "counts"  # a tuple of integers


class ColumnSpec(NamedTuple):
    name: str
    kind: ColumnKind


Column = Sequence[Any]
Columns = Sequence[Column]


class TableFormat(Protocol):
    """A way to write rows, used once: `begin`, then `rows` for each page, then `end`."""

    def begin(self) -> bytes: ...

    def rows(self, columns: Columns) -> bytes:
        """Take a page, of at least one row; return what is ready, which may be nothing yet."""

    def end(self) -> bytes: ...


_EPOCH: Final = datetime(1970, 1, 1)  # naive: "Z" is shorter than "+00:00"
_NANO: Final = 1_000_000_000


def iso(microseconds: int) -> str:
    """Return a time as ISO 8601 has it, in UTC, always with six digits of a second."""
    return f"{(_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec='microseconds')}Z"


def usd(nano: int) -> str:
    """Return billionths of a dollar as dollars, exactly: "0.000123000"."""
    whole, rest = divmod(abs(nano), _NANO)
    return f"{'-' if nano < 0 else ''}{whole}.{rest:09}"
