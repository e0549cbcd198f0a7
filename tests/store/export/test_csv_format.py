from __future__ import annotations

import csv
import io
import re
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.store.export.columns import ColumnKind, Columns, ColumnSpec
from gateway.store.export.csv_format import CsvFormat, safe

TEXTS: Final = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("=+-@\t\r\n\"', ;\0"))
)


def written(kinds: list[ColumnKind], *pages: Columns) -> str:
    format_ = CsvFormat([ColumnSpec(f"column {place}", kind) for place, kind in enumerate(kinds)])
    parts = [format_.begin(), *map(format_.rows, pages), format_.end()]
    return b"".join(parts).decode()


def original(text: str) -> str:
    """Take off the apostrophe that `safe` may have put before."""
    rest = text.removeprefix("'")
    return rest if rest != text and safe(rest) == text else text


def test_every_kind_as_rfc_4180_has_it() -> None:
    columns: Columns = [
        (-1, None),
        (1 << 62, None),
        ('a "b", c\r\nd', None),
        (True, False),
        (1_780_000_000_000_001, None),
        (123_000, None),
        ('{"a":"b"}', None),
        ((0, 12, 3), ()),
    ]
    kinds = [
        ColumnKind.INTEGER,
        ColumnKind.ID,
        ColumnKind.TEXT,
        ColumnKind.FLAG,
        ColumnKind.TIME,
        ColumnKind.USD,
        ColumnKind.JSON,
    ]
    assert written([*kinds, ColumnKind.COUNTS], columns) == (
        ",".join(f'"column {place}"' for place in range(8)) + "\r\n"
        f'-1,{1 << 62},"a ""b"", c\r\nd","true","2026-05-28T20:26:40.000001Z","0.000123000",'
        '"{""a"":""b""}","[0,12,3]"\r\n'
        ',,,"false",,,,"[]"\r\n'
    )


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", ' "=1', "'=1", "''=1", "\ufeff=1",
     "\0=1", "\uff1d1", "\uff20x", "\uff0d1", "\uff0b1", '"\t'],
)  # fmt: skip
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert safe(text) == "'" + text


@pytest.mark.parametrize("text", ["", "a=1", "1-1", "'", '"', "gpt-5", "a\tb", "['=1']", "…"])
def test_all_else_stays_as_it_is(text: str) -> None:
    assert safe(text) == text


def test_numbers_have_no_apostrophe() -> None:
    assert written([ColumnKind.INTEGER, ColumnKind.USD], [(-5,), (-5,)]).endswith(
        '\r\n-5,"-0.000000005"\r\n'
    )


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=5))
def test_what_is_read_back_is_what_was_written(rows: list[tuple[str, str]]) -> None:
    pages: list[Columns] = [[*zip(*rows, strict=True)]] if rows else []
    text = written([ColumnKind.TEXT, ColumnKind.TEXT], *pages)
    found = [*csv.reader(io.StringIO(text, newline=""))]
    assert found[0] == ["column 0", "column 1"]
    assert [tuple(map(original, row)) for row in found[1:]] == rows
    for row in found[1:]:
        assert not any(re.match(r"""[\s"]*[=+\-@]|[\t\r]""", cell) for cell in row)


@given(TEXTS)
def test_no_two_texts_are_written_alike(text: str) -> None:
    assert original(safe(text)) == text


def test_a_cell_stays_one_cell_whatever_the_separator() -> None:
    text = written([ColumnKind.TEXT], [("a;=1",)])
    assert [*csv.reader(io.StringIO(text, newline=""), delimiter=";")][1] == ["a;=1"]
