from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from gateway.core.records.periods import DAY, HOUR, MINUTE
from gateway.errors import InvalidRequest
from gateway.store.engine.database import Database
from gateway.store.engine.schema import PERIODS, rollups
from gateway.store.queries.filters import Filter, Window
from gateway.store.queries.rollup_sums import Chosen, busiest, chosen, read, whole_minutes
from gateway.store.rollups.spans import SECOND, RollupSpan, spans

MINUTES = st.integers(0, 20 * 1440)
# A minute and an hour at each edge of a day.
PARTS: Final = spans((DAY - HOUR - MINUTE) * SECOND, (2 * DAY + HOUR + MINUTE) * SECOND)


def put(database: Database, *counts: Mapping[str, int]) -> None:
    """Write roll-ups: for each of `PARTS` one of each model, with so many requests."""
    rows: list[dict[str, Any]] = [
        dict.fromkeys(rollups.columns.keys(), 0)
        | {"period": part.period, "start": part.start, "model": model, "requests": number}
        | {"provider": "p", "token": "t", "status": 200}
        for part, models in zip(PARTS, counts, strict=True)
        for model, number in models.items()
    ]
    database.write_now(lambda connection: connection.execute(insert(rollups), rows))


def ask(
    database: Database,
    parts: list[RollupSpan],
    by: list[str],
    width: int = 0,
    most: int | None = None,
) -> dict[tuple[Any, ...], list[int]]:
    return database.read_now(lambda c: read(c, parts, Chosen(), by, ("requests",), width, most))


@given(st.tuples(MINUTES, MINUTES).map(sorted), st.sampled_from(PERIODS))
def test_spans_cover_the_time_once_with_few_roll_ups(ends: list[int], coarsest: int) -> None:
    since, until = (each * MINUTE * SECOND for each in ends)
    found = spans(since, until, coarsest)
    if since == until:
        assert found == []
        return
    assert (found[0].start, found[-1].end) == (since, until)
    for one, other in pairwise(found):
        assert one.end == other.start
    for period, start, end, _ in found:
        assert period <= coarsest
        assert start % (period * SECOND) == end % (period * SECOND) == 0
        assert start < end
    # None is used where a coarser one would do, but at the edges.
    read = sum((span.end - span.start) // (span.period * SECOND) for span in found)
    days = (until - since) // (DAY * SECOND)
    if coarsest == DAY:
        assert read <= days + 2 * 23 + 2 * 59


def test_spans_of_a_day_that_begins_within_a_minute_of_noon() -> None:
    noon = 12 * 60
    at = [each * MINUTE * SECOND for each in (noon + 1, noon + 60, 1440, 2 * 1440, 2 * 1440 + 2)]
    assert spans(at[0], at[-1]) == [
        RollupSpan(MINUTE, at[0], at[1]),
        RollupSpan(HOUR, at[1], at[2]),
        RollupSpan(DAY, at[2], at[3]),
        RollupSpan(MINUTE, at[3], at[4]),
    ]
    assert spans(at[0], at[-1], MINUTE) == [RollupSpan(MINUTE, at[0], at[-1])]


def test_a_window_is_widened_to_full_minutes() -> None:
    minute = MINUTE * SECOND
    assert whole_minutes(Window(since=minute - 1, until=minute + 1), None) == (0, 2 * minute)
    assert whole_minutes(Window(since=minute, until=2 * minute), None) == (minute, 2 * minute)
    now = 1_790_000_000.5
    assert whole_minutes(Window(), now) == (
        1_789_913_580 * SECOND,
        1_790_000_040 * SECOND,
    )
    with pytest.raises(InvalidRequest, match="since must be earlier than until"):
        whole_minutes(Window(since=round((now + 1) * SECOND)), now)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (Filter(user=("u",)), "user"),
        (Filter(stream=False), "stream"),
        (Filter(cached=True), "cached"),
        (Filter(failed=True), "failed"),
        (Filter(text="x"), "text"),
        (Filter(end_reason=("complete",)), "end_reason"),
    ],
)
def test_what_is_not_counted_by_is_refused(wanted: Filter, name: str) -> None:
    with pytest.raises(InvalidRequest, match="only model, provider, token, status") as caught:
        chosen(wanted)
    assert caught.value.param == name


def test_sums_are_put_together_from_their_spans(database: Database) -> None:
    assert [part.period for part in PARTS] == [MINUTE, HOUR, DAY, HOUR, MINUTE]
    put(database, {"a": 1}, {"a": 2, "b": 10}, {"a": 4}, {"b": 20}, {"c": 100})
    assert ask(database, PARTS, []) == {(0,): [137]}
    assert ask(database, PARTS, ["model"]) == {(0, "a"): [7], (0, "b"): [30], (0, "c"): [100]}
    day = DAY * SECOND
    assert ask(database, PARTS, [], DAY) == {(0,): [13], (day,): [4], (2 * day,): [120]}
    assert ask(database, PARTS, ["model", "token"], DAY) == {
        (0, "a", "t"): [3],
        (0, "b", "t"): [10],
        (day, "a", "t"): [4],
        (2 * day, "b", "t"): [20],
        (2 * day, "c", "t"): [100],
    }


def test_times_of_many_roll_ups_each(database: Database) -> None:
    put(database, {"a": 1}, {"a": 2}, {"a": 4, "b": 8}, {"a": 16}, {"a": 32})
    parts = [RollupSpan(HOUR, 0, 3 * DAY * SECOND)]
    later = 2 * DAY * SECOND
    assert ask(database, parts, [], 2 * DAY) == {(0,): [2], (later,): [16]}
    assert ask(database, parts, ["model"], 2 * DAY) == {(0, "a"): [2], (later, "a"): [16]}


def test_where_nothing_was_there_are_no_sums(database: Database) -> None:
    for by in ([], ["model"]):
        for width in (0, DAY):
            assert ask(database, PARTS, by, width) == {}
    assert database.read_now(lambda c: busiest(c, PARTS, Chosen(), "model", 3)) == []


def test_the_busiest_are_so_over_all_spans(database: Database) -> None:
    # "all" is the first of no span. Of those that have as many, capitals come first.
    put(
        database,
        {"minute": 5, "all": 4},
        {"hour": 5, "all": 4},
        {"Zeta": 5, "all": 4},
        {"beta": 5, "all": 4},
        {"least": 2, "all": 4},
    )

    def first(count: int) -> list[Any]:
        return database.read_now(lambda c: busiest(c, PARTS, Chosen(), "model", count))

    assert first(3) == ["all", "Zeta", "beta"]
    assert first(9) == ["all", "Zeta", "beta", "hour", "minute", "least"]
    only = Chosen({"model": ["least", "hour"]})
    assert database.read_now(lambda c: busiest(c, PARTS, only, "model", 3)) == ["hour", "least"]
    assert database.read_now(lambda c: busiest(c, PARTS, Chosen(), "provider", 3)) == ["p"]


def test_more_sums_than_asked_for_are_refused_however_many_roll_ups(database: Database) -> None:
    put(database, *({"a": 1, "b": 1, "c": 1} for _ in PARTS))
    assert len(ask(database, PARTS, ["model"], 0, 3)) == 3
    assert len(ask(database, PARTS, ["model"], DAY, 9)) == 9
    for most, width in ((2, 0), (8, DAY)):
        with pytest.raises(InvalidRequest, match=f"more than {most} rows") as caught:
            ask(database, PARTS, ["model"], width, most)
        assert caught.value.param == "group_by"
