from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from gateway.store.export.columns import Column, Columns
from gateway.store.export.pager import Pager, RowSource

NO_CONNECTION = cast(Connection, None)


class Numbers(RowSource):
    """Rows of one number each, in a list that others may append to; of them the matching."""

    def __init__(self, numbers: Sequence[int], matching: set[int], stretch: int = 10) -> None:
        self.numbers = [*numbers]
        self.matching = matching
        self.stretch = stretch
        self.key = (cast(Any, None),)
        self.seconds = 0.0
        self.asked: list[tuple[int, int]] = []

    def ends(self, connection: Connection) -> tuple[int, int] | None:
        return (self.numbers[0], self.numbers[-1]) if self.numbers else None

    def rows(
        self, connection: Connection, after: tuple[Any, ...], last: int, limit: int
    ) -> Sequence[Any]:
        self.asked.append((after[0], last))
        low, high = bisect_right(self.numbers, after[0]), bisect_right(self.numbers, last)
        # A second for each key that has to be looked at.
        self.seconds += high - low
        found = [(number,) for number in self.numbers[low:high] if number in self.matching]
        return found[:limit]

    def columns(self, connection: Connection, read: Columns) -> list[Column]:
        return [*read]

    def clock(self) -> float:
        return self.seconds / 1000


def pages_of(pager: Pager) -> list[list[int]]:
    pages = []
    while not pager.finished:
        columns = pager.next(NO_CONNECTION)
        pages.append([*columns[0]] if columns else [])
    return pages


def test_nothing_is_one_page_of_nothing() -> None:
    pager = Pager(Numbers([], set()))
    assert pages_of(pager) == [[]]
    assert pager.progress == 1.0


@given(st.sets(st.integers(0, 1000)), st.integers(1, 7), st.integers(1, 50), st.randoms())
def test_every_matching_row_comes_once_in_order(
    numbers: set[int], limit: int, stretch: int, rng: Any
) -> None:
    matching = {number for number in numbers if rng.random() < 0.5}
    pager = Pager(Numbers(sorted(numbers), matching, stretch), limit)
    pages = pages_of(pager)
    assert [number for page in pages for number in page] == sorted(matching)
    assert max(map(len, pages)) <= limit
    assert pager.progress == 1.0


def test_what_comes_meanwhile_does_not_prolong_it() -> None:
    source = Numbers(range(10), {*range(1000)})
    pager = Pager(source, 3)
    found: list[int] = []
    while not pager.finished:
        columns = pager.next(NO_CONNECTION)
        found += columns[0] if columns else []
        source.numbers += range(source.numbers[-1] + 1, source.numbers[-1] + 100)
    assert found == [*range(10)]


def test_stretches_without_a_match_grow_while_they_take_no_time() -> None:
    source = Numbers([0, 1_000_000], {1_000_000}, stretch=1)
    assert pages_of(Pager(source, clock=source.clock))[-1] == [1_000_000]
    assert len(source.asked) == 20


def test_and_shrink_when_they_take_long() -> None:
    source = Numbers(range(10_000), {9_999}, stretch=1000)
    assert pages_of(Pager(source, clock=source.clock))[-1] == [9_999]
    # A tenth of a second is a hundred keys of a thousandth each: it goes on around that.
    assert {last - after for after, last in source.asked[5:-1]} == {62, 124}


def test_but_not_to_nothing_where_every_page_is_slow() -> None:
    source = Numbers([0, 100_000], {0, 100_000}, stretch=1600)
    clock = iter(range(1_000_000))
    assert len(pages_of(Pager(source, clock=lambda: next(clock)))) < 1010
    assert source.asked[-2][1] - source.asked[-2][0] == 100


def test_progress_is_told_by_keys() -> None:
    pager = Pager(Numbers(range(100), {*range(100)}, stretch=1000), 25)
    seen = []
    while not pager.finished:
        pager.next(NO_CONNECTION)
        seen.append(pager.progress)
    assert seen == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
