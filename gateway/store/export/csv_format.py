"""Rows as CSV (RFC 4180): a header, CRLF, UTF-8, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from .columns import Column, ColumnKind, Columns, ColumnSpec, iso, usd

# What spreadsheets take for a formula, by OWASP's list (owasp.org/www-community/attacks/
# CSV_Injection), full-width forms included, which some locales accept. Characters that they skip
# before it may precede. The apostrophe is one of them: so a text that begins with a mark is marked
# again, and a reader that removes one apostrophe always has the original text back.
_FORMULA: Final = re.compile(r"""[\s"'`\x00\ufeff]*[\t\r\n=+\-@\uff1d\uff0b\uff0d\uff20]""")
_MARK: Final = "'"


class _Nothing(int):
    """None, for a writer that quotes every text: a number that is written as nothing.

    A quoted "" is an empty text to PostgreSQL's COPY, which then refuses it for a number.
    """

    def __str__(self) -> str:
        return ""


_NOTHING: Final = _Nothing()


def safe(text: str) -> str:
    """Return a text that a spreadsheet shows as it is, by an apostrophe where it would not."""
    return _MARK + text if _FORMULA.match(text) else text


class CsvFormat:
    """See `columns.TableFormat`. Times are ISO 8601, flags `true` and `false`, JSON is text."""

    def __init__(self, fields: Sequence[ColumnSpec]) -> None:
        self._names = [field.name for field in fields]
        self._render = [_RENDER[field.kind] for field in fields]

    def begin(self) -> bytes:
        return _written([self._names])

    def rows(self, columns: Columns) -> bytes:
        rendered = [render(column) for render, column in zip(self._render, columns, strict=True)]
        return _written(zip(*rendered, strict=True))

    def end(self) -> bytes:
        return b""


def _written(rows: Any) -> bytes:
    text = io.StringIO(newline="")
    # All texts are quoted: where the semicolon is the separator, a text with one would become two
    # cells, and the second was not checked for formulas.
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC).writerows(rows)
    return text.getvalue().encode()


def _each(render: Callable[[Any], object]) -> Callable[[Column], Column]:
    return lambda column: [_NOTHING if cell is None else render(cell) for cell in column]


_RENDER: Final[dict[ColumnKind, Callable[[Column], Column]]] = {
    ColumnKind.INTEGER: _each(int),
    ColumnKind.ID: _each(int),
    ColumnKind.TEXT: _each(safe),
    ColumnKind.FLAG: _each(lambda flag: "true" if flag else "false"),
    ColumnKind.TIME: _each(iso),
    ColumnKind.USD: _each(usd),
    ColumnKind.JSON: _each(safe),
    ColumnKind.COUNTS: _each(lambda counts: f"[{','.join(map(str, counts))}]"),
}
