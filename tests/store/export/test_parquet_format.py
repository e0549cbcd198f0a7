from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.store.export import parquet_format
from gateway.store.export.columns import ColumnKind, Columns, ColumnSpec
from gateway.store.export.parquet_format import ParquetFormat

pq: Any = pytest.importorskip("pyarrow.parquet")


def written(fields: dict[str, ColumnKind], *pages: Columns) -> io.BytesIO:
    format_ = ParquetFormat([ColumnSpec(*each) for each in fields.items()])
    return io.BytesIO(b"".join([format_.begin(), *map(format_.rows, pages), format_.end()]))


def test_every_kind_has_its_type() -> None:
    fields = {kind.value: kind for kind in ColumnKind}
    row = {
        ColumnKind.INTEGER: 7,
        ColumnKind.ID: 1 << 62,
        ColumnKind.TEXT: "=1\r\n\0é",
        ColumnKind.FLAG: True,
        ColumnKind.TIME: 1_780_000_000_000_001,
        ColumnKind.USD: -(1 << 62),
        ColumnKind.JSON: '{"a":1}',
        ColumnKind.COUNTS: (1, 2),
    }
    columns: Columns = [(row[kind], None) for kind in ColumnKind]
    table = pq.read_table(written(fields, columns))
    assert {field.name: str(field.type) for field in table.schema} == {
        "integer": "int64",
        "id": "int64",
        "text": "string",
        "flag": "bool",
        "time": "timestamp[us, tz=UTC]",
        "usd": "decimal128(19, 9)",
        "json": "string",
        "counts": "list<element: int64>",
    }
    assert table.to_pylist() == [
        {
            "integer": 7,
            "id": 1 << 62,
            "text": "=1\r\n\0é",
            "flag": True,
            "time": datetime(2026, 5, 28, 20, 26, 40, 1, tzinfo=UTC),
            "usd": Decimal(-(1 << 62)).scaleb(-9),
            "json": '{"a":1}',
            "counts": [1, 2],
        },
        dict.fromkeys(fields),
    ]


def test_no_rows_are_a_file_with_columns() -> None:
    table = pq.read_table(written({"a": ColumnKind.INTEGER}))
    assert (table.num_rows, table.column_names) == (0, ["a"])


def test_row_groups_are_bounded_and_leave_as_they_are_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parquet_format, "_GROUP_ROWS", 100)
    format_ = ParquetFormat([ColumnSpec("a", ColumnKind.INTEGER)])
    parts = [format_.begin(), *(format_.rows([range(40)]) for _ in range(7)), format_.end()]
    assert [bool(part) for part in parts] == [True, *[False, False, True] * 2, False, True]
    file = pq.ParquetFile(io.BytesIO(b"".join(parts)))
    groups = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    assert groups == [120, 120, 40]


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])),
                          st.integers(-(1 << 63), (1 << 63) - 1)), max_size=5))  # fmt: skip
def test_what_is_read_back_is_what_was_written(rows: list[tuple[str, int]]) -> None:
    fields = {"text": ColumnKind.TEXT, "usd": ColumnKind.USD}
    pages: list[Columns] = [[*zip(*rows, strict=True)]] if rows else []
    found = pq.read_table(written(fields, *pages)).to_pylist()
    assert [(row["text"], int(row["usd"].scaleb(9))) for row in found] == rows


def test_without_pyarrow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"needs pyarrow: .*(pyarrow|parquet)"):
        ParquetFormat([])
