"""Condensed sums are those of the roll-ups, at any moment, or are not read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest
from sqlalchemy import Connection, delete, func, select, update
from structlog.testing import capture_logs

from gateway.core.records.periods import DAY, HOUR, MINUTE
from gateway.store.engine.condensed_table import condensed_rollups
from gateway.store.engine.database import Database
from gateway.store.engine.schema import rollups
from gateway.store.queries import rollup_sums
from gateway.store.queries.filters import Filter
from gateway.store.queries.rollup_sums import Chosen
from gateway.store.queries.stats import summary
from gateway.store.queries.usage import usage
from gateway.store.rollups.agreement import stretches
from gateway.store.rollups.condensing import HOURS_DAYS
from gateway.store.rollups.spans import SECOND, RollupSpan, spans
from gateway.store.rollups.task import CondensingTask

from ...rounds import rounds
from ..filled import fill_database
from ..filling import MODELS, TOKENS

pytestmark = pytest.mark.slow

END: Final = 1_790_002_800_000_000
HOUR_US, DAY_US = HOUR * SECOND, DAY * SECOND
NOW: Final = END / SECOND + 600
# In the middle of an hour and of a minute at both ends.
SINCE, UNTIL = END - 2 * DAY_US - 1_234_567_890, END - 1_500_000_000
GROUPS: Final = ("model", "provider", "token", "status", "team")
WANTED: Final = (
    Filter(since=SINCE, until=UNTIL),
    Filter(since=END - 20 * HOUR_US),
    Filter(since=SINCE, until=UNTIL, model=(MODELS[0], MODELS[3])),
    Filter(since=SINCE, until=UNTIL, token=TOKENS[:2], provider=("openai",)),
    Filter(since=SINCE, until=UNTIL, status=("2xx",)),
)


def condensing(database: Database, after: float = 0) -> CondensingTask:
    return CondensingTask(database, now=lambda: NOW + after, rng=lambda: 0.0)


def figures(
    database: Database, chosen: Sequence[Filter] = WANTED, groups: Sequence[str] = GROUPS
) -> list[Any]:
    """Return what is read of all kinds, from whichever table.

    Those are summaries of what is `chosen`, and usage by each of `groups`.
    """

    def work(connection: Connection) -> list[Any]:
        found: list[Any] = [summary(connection, each, top=4, now=NOW) for each in chosen]
        for by in groups:
            found += [
                usage(connection, WANTED[0], group_by=(by,), bucket="none", now=NOW),
                usage(connection, WANTED[0], group_by=(by,), bucket="hour", now=NOW),
                usage(connection, WANTED[0], group_by=(by,), bucket="day", now=NOW),
            ]
        return found

    return database.read_now(work, 60.0)


def condensed_spans(database: Database) -> set[bool]:
    parts = [each for each in spans(SINCE // 60_000_000 * 60_000_000, END) if each.period > MINUTE]
    found = database.read_now(lambda c: rollup_sums.condensed(c, parts, Chosen()))
    return {each.condensed for each in found}


async def test_sums_are_the_same_however_they_are_read(database: Database) -> None:
    fill_database(database, 3000, end=END, days=3)
    plain = figures(database)
    assert condensed_spans(database) == {False}
    made = await condensing(database).once()
    assert made > 3 * 24
    assert condensed_spans(database) == {True}
    assert figures(database) == plain

    # Not until it is due again, and then nothing is left to do.
    assert await condensing(database).once() == 0
    assert await condensing(database, 400).once() == 0

    # Of these, whatever changes is seen.
    seen = rounds((WANTED[:1], GROUPS[:1]), (WANTED, GROUPS))
    plain = figures(database, *seen)

    # A request that comes late, costs that are computed again, what goes with age.
    midnight = END // DAY_US * DAY_US - DAY_US
    late = (rollups.c.start >= midnight, rollups.c.start < midnight + 2 * HOUR_US)
    for number, change in enumerate(
        (
            update(rollups).where(*late).values(requests=rollups.c.requests + 1, latency_03=7),
            update(rollups).where(*late).values(cost_nano_usd=rollups.c.cost_nano_usd + 1000),
            delete(rollups).where(*late),
        ),
        start=2,
    ):
        database.write_now(lambda connection: connection.execute(change))  # noqa: B023  # at once
        changed = figures(database, *seen)
        assert changed != plain
        assert condensed_spans(database) == {False, True}
        task = condensing(database, 400 * number)
        # Two hours, and the day that begins with them.
        assert await task.once() == 3
        assert condensed_spans(database) == {True}
        assert figures(database, *seen) == changed
        plain = changed


async def test_hours_are_kept_for_a_month_and_days_for_as_long_as_roll_ups(
    sqlite_database: Database,
) -> None:
    database = sqlite_database
    fill_database(database, 600, end=END, days=2)
    assert await condensing(database).once() == 24 * 2 + 2
    later = (HOURS_DAYS + 3) * DAY
    # The hours go, and the last day is over.
    assert await condensing(database, later).once() == 24 * 2 + 1

    def left() -> list[Any]:
        query = select(condensed_rollups.c.period).distinct()
        return database.read_now(lambda c: [*c.execute(query).scalars()])

    assert left() == [DAY]
    database.write_now(lambda connection: connection.execute(delete(rollups)))
    assert await condensing(database, 2 * later).once() == 3
    assert left() == []


async def test_what_is_not_over_or_hardly_is_left(sqlite_database: Database) -> None:
    database = sqlite_database
    fill_database(database, 300, end=END, days=1)
    await CondensingTask(database, now=lambda: END / SECOND + 60, rng=lambda: 0.0).once()
    latest = select(func.max(condensed_rollups.c.start)).where(condensed_rollups.c.period == HOUR)
    found = database.read_now(lambda connection: connection.scalar(latest))
    assert found == END - 2 * HOUR_US


async def test_a_database_that_cannot_be_used_is_a_line_in_the_log(
    sqlite_database: Database,
) -> None:
    sqlite_database.barred = "it is away"
    with capture_logs() as logs:
        assert await condensing(sqlite_database).once() == 0
    assert [each["error"] for each in logs] == ["it is away"]


def test_where_they_alternate_all_is_read_from_the_roll_ups(
    monkeypatch: pytest.MonkeyPatch, sqlite_database: Database
) -> None:
    def found(agreeing: str) -> list[tuple[Any, ...]]:
        monkeypatch.setattr(
            "gateway.store.rollups.stamps.of_rollups",
            lambda *_: {at: (1,) for at, each in enumerate(agreeing) if each != " "},
        )
        monkeypatch.setattr(
            "gateway.store.rollups.stamps.of_condensed",
            lambda *_: {at: (1,) for at, each in enumerate(agreeing) if each == "+"},
        )
        return sqlite_database.read_now(lambda c: [(*each,) for each in stretches(c, HOUR, 0, 20)])

    assert found("") == [(0, 20, True)]
    assert found("++++") == [(0, 20, True)]
    assert found("  ++  --+-") == [(0, 6, True), (6, 8, False), (8, 9, True), (9, 20, False)]
    assert found("+-" * 4) == [
        *((at, at + 1, at % 2 == 0) for at in range(7)),
        (7, 20, False),
    ]
    assert found("+-" * 5) == [(0, 20, False)]


def test_a_span_says_where_it_can_be_read() -> None:
    assert RollupSpan(HOUR, 0, HOUR_US).condensed is False
    assert Chosen().alone() == ""
    assert Chosen({"model": ["a"]}).alone(("model",)) == "model"
    assert Chosen({"model": ["a"]}).alone(("token",)) is None
    assert Chosen({"team": ["a"]}).alone() is None
    assert Chosen(status=["2xx"]).alone() is None
