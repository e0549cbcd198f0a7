from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.store.export.columns import ColumnKind, Columns, ColumnSpec
from gateway.store.export.jsonl_format import JsonlFormat


def written(fields: dict[str, ColumnKind], *pages: Columns) -> bytes:
    format_ = JsonlFormat([ColumnSpec(*each) for each in fields.items()])
    return b"".join([format_.begin(), *map(format_.rows, pages), format_.end()])


def test_every_kind() -> None:
    fields = {
        "integer": ColumnKind.INTEGER,
        "id": ColumnKind.ID,
        "flag": ColumnKind.FLAG,
        "time": ColumnKind.TIME,
        "usd": ColumnKind.USD,
        "json": ColumnKind.JSON,
        "counts": ColumnKind.COUNTS,
    }
    row = (7, 1 << 62, True, 1_780_000_000_000_001, 1_500_000_000, '{"a":["b"]}', (1, 2))
    nothing = (None, 0, False, 0, None, None, ())
    columns: Columns = [*zip(row, nothing, strict=True)]
    assert [json.loads(line) for line in written(fields, columns, columns).splitlines()] == [
        {
            "integer": 7,
            # As a number it would lose its last digits in JavaScript, and in older jq.
            "id": "4611686018427387904",
            "flag": True,
            "time": "2026-05-28T20:26:40.000001Z",
            "usd": "1.500000000",
            "json": {"a": ["b"]},
            "counts": [1, 2],
        },
        {
            "integer": None,
            "id": "0",
            "flag": False,
            "time": "1970-01-01T00:00:00.000000Z",
            "usd": None,
            "json": None,
            "counts": [],
        },
    ] * 2


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_what_is_read_back_is_what_was_written(texts: list[str]) -> None:
    out = written({"text": ColumnKind.TEXT}, *([[texts]] if texts else []))
    # Not by splitlines: of a str that would also split at U+2028, which JSON leaves as it is.
    lines = out.decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line)["text"] for line in lines] == texts
