"""Rows as JSON, one object a line (jsonlines.org)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from .columns import Column, ColumnKind, Columns, ColumnSpec, iso, usd

_ENCODER: Final = msgspec.json.Encoder()


class JsonlFormat:
    """See `columns.TableFormat`. Times are ISO 8601, dollars decimal strings, JSON is JSON."""

    def __init__(self, fields: Sequence[ColumnSpec]) -> None:
        self._names = [field.name for field in fields]
        self._render = [_RENDER[field.kind] for field in fields]

    def begin(self) -> bytes:
        return b""

    def rows(self, columns: Columns) -> bytes:
        rendered = [render(column) for render, column in zip(self._render, columns, strict=True)]
        names = self._names
        rows = [dict(zip(names, row, strict=True)) for row in zip(*rendered, strict=True)]
        return _ENCODER.encode_lines(rows)

    def end(self) -> bytes:
        return b""


def _same(column: Column) -> Column:
    return column


def _each(render: Callable[[Any], object]) -> Callable[[Column], Column]:
    return lambda column: [None if cell is None else render(cell) for cell in column]


_RENDER: Final[dict[ColumnKind, Callable[[Column], Column]]] = {
    ColumnKind.INTEGER: _same,
    ColumnKind.ID: _each(str),
    ColumnKind.TEXT: _same,
    ColumnKind.FLAG: _same,
    ColumnKind.TIME: _each(iso),
    ColumnKind.USD: _each(usd),
    ColumnKind.JSON: _each(lambda text: msgspec.Raw(text.encode())),
    ColumnKind.COUNTS: _same,
}
