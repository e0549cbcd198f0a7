from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.store.queries.cursor import Cursor, query_of, read, write
from gateway.store.queries.filters import AuditFilter, Filter

NUMBERS = st.integers(-1, (1 << 63) - 2)


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS))
def test_a_cursor_is_read_as_it_was_written(numbers: tuple[int, int, int, int]) -> None:
    cursor = Cursor("abc", *numbers)
    text = write(cursor)
    assert text.isascii()
    assert not set(text) & set("=+/&%")
    assert read(text, "abc") == cursor


@given(st.text() | st.binary().map(lambda data: urlsafe_b64encode(data).decode()))
def test_a_made_up_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="That cursor is none of ours") as caught:
        read(text, "abc")
    assert caught.value.param == "cursor"


@pytest.mark.parametrize("number", [-2, (1 << 63) - 1, 1 << 70])
def test_no_number_is_more_than_a_database_holds(number: int) -> None:
    with pytest.raises(InvalidRequest, match="none of ours"):
        read(write(Cursor("abc", 1, number, 1, 1)), "abc")


def test_a_query_is_told_by_its_filter_as_it_was_given_and_its_order() -> None:
    day = Filter(since=1, written=("24h", ""))
    same = [query_of(day, "time"), query_of(Filter(since=2, written=("24h", "")), "time")]
    others = [
        query_of(day, "cost"),
        query_of(Filter(since=1, written=("25h", "")), "time"),
        query_of(Filter(since=1), "time"),
        query_of(Filter(since=2), "time"),
        query_of(Filter(since=1, model=("m",)), "time"),
        query_of(AuditFilter(since=1), "time"),
    ]
    assert len({*same, *others}) == 1 + len(others)
