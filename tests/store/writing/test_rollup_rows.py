from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.records.histogram import bucket_of
from gateway.core.records.periods import DAY, HOUR, MINUTE
from gateway.core.records.record import WELL, EndReason, Record
from gateway.store.engine.schema import FIRST_EVENT, LATENCY, PERIODS, requests, rollups
from gateway.store.writing.rollup_rows import OTHER_MODELS, RollupModels, rollup_rows
from gateway.store.writing.rows import request_row

from ...rounds import rounds
from ..recording import EPOCH, record

NAMES = [column.name for column in rollups.columns]


def rolled(*records: Record, models: RollupModels | None = None) -> list[dict[str, Any]]:
    rows = [request_row(each, number) for number, each in enumerate(records)]
    found = rollup_rows(rows, models or RollupModels())
    return [dict(zip(NAMES, row, strict=True)) for row in found]


def of_period(period: int, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in found if row["period"] == period]


times = st.integers(0, 3 * DAY).map(lambda seconds: EPOCH + seconds)
anything = st.builds(
    record,
    st.integers(0, 50),
    time=times,
    token=st.sampled_from([None, "a", "b"]),
    provider=st.sampled_from([None, "p"]),
    model=st.sampled_from([None, "m", "n"]),
    cached=st.booleans(),
    status=st.sampled_from([200, 499, 502]),
    end_reason=st.sampled_from(EndReason),
    input_tokens=st.none() | st.integers(0, 10**6),
    cost_nano_usd=st.none() | st.integers(0, 10**9),
    latency_ms=st.floats(0, 10**6),
    first_event_ms=st.none() | st.floats(0, 10**6),
)


@pytest.mark.slow
@settings(max_examples=rounds(40, 300), deadline=None)
@given(st.lists(anything, max_size=30))
def test_they_are_what_adding_up_one_by_one_gives(records: list[Record]) -> None:
    expected: dict[tuple[Any, ...], Counter[str]] = {}
    for each in records:
        columns = [column.name for column in requests.columns]
        row = dict(zip(columns, request_row(each, 1), strict=True))
        for period in PERIODS:
            start = int(each.time) // period * period * 1_000_000
            labels = (each.model or "", each.provider or "", each.token or "", each.status)
            sums = expected.setdefault((period, start, *labels), Counter())
            sums["requests"] += 1
            sums["errors"] += each.end_reason not in WELL
            for name in {*NAMES[8:20]} - {"cost_unknown"}:
                sums[name] += row[name] or 0
            answered = each.input_tokens is not None or each.first_event_ms is not None
            sums["cost_unknown"] += answered and each.cost_nano_usd is None
            sums[LATENCY[bucket_of(row["latency_us"])]] += 1
            if row["first_event_us"] is not None:
                sums[FIRST_EVENT[bucket_of(row["first_event_us"])]] += 1
    found = rolled(*records)
    assert [tuple(row[name] for name in NAMES[:6]) for row in found] == sorted(expected)
    for row in found:
        sums = expected[tuple(row[name] for name in NAMES[:6])]
        assert {name: row[name] for name in NAMES[6:]} == {name: sums[name] for name in NAMES[6:]}


def test_a_cost_that_is_not_known_is_counted() -> None:
    cases: list[tuple[dict[str, Any], int]] = [
        ({}, 0),
        ({"input_tokens": 5}, 1),
        ({"input_tokens": 5, "cost_nano_usd": 0}, 0),
        ({"first_event_ms": 1.0}, 1),
        ({"first_event_ms": 1.0, "cost_nano_usd": 7, "reported_cost_nano_usd": 9}, 0),
    ]
    for fields, unknown in cases:
        given = {"input_tokens": None, "first_event_ms": None, "cost_nano_usd": None, **fields}
        for row in rolled(record(1, **given)):
            assert row["cost_unknown"] == unknown
            assert row["cost_nano_usd"] == fields.get("cost_nano_usd", 0)
            assert row["reported_cost_nano_usd"] == fields.get("reported_cost_nano_usd", 0)


def test_each_request_counts_in_its_minute_its_hour_and_its_day() -> None:
    found = rolled(record(1, time=EPOCH), record(1, time=EPOCH + 60), record(1, time=EPOCH + 3600))
    assert [[row["requests"] for row in of_period(period, found)] for period in PERIODS] == [
        [1, 1, 1],
        [2, 1],
        [3],
    ]
    for row in found:
        assert row["start"] % (row["period"] * 1_000_000) == 0


def test_invented_names_share_one_place() -> None:
    models = RollupModels(limit=3)
    records = [record(1, model=f"invented-{number}") for number in range(10)]
    names = {
        row["model"]: row["requests"] for row in of_period(HOUR, rolled(*records, models=models))
    }
    assert names == {"invented-0": 1, "invented-1": 1, "invented-2": 1, OTHER_MODELS: 7}
    # Those that have a place keep it; the next hour begins anew.
    again = rolled(record(1, model="invented-1"), models=models)
    assert {row["model"] for row in again} == {"invented-1"}
    later = rolled(record(1, model="invented-9", time=EPOCH + 3600), models=models)
    assert {row["model"] for row in later} == {"invented-9"}


def test_an_unknown_model_has_no_name_in_rollups() -> None:
    def scanned(**changes: Any) -> set[str]:
        given = {"attempts": [], "end_reason": EndReason.REJECTED, "error_code": "model_not_found"}
        return {row["model"] for row in rolled(record(1, model="guess", **(given | changes)))}

    assert scanned() == {""}
    assert scanned(error_code="permission_denied") == {""}
    # By a limit, which is looked at when the model is known.
    assert scanned(error_code="rate_limit_exceeded") == {"guess"}
    assert scanned(end_reason=EndReason.PROVIDERS_FAILED) == {"guess"}


def test_models_forgets_old_hours() -> None:
    models = RollupModels(limit=1)
    for hour in range(100):
        assert models.label("m", hour) == "m"
    assert repr(models).count(":") == 4
    assert MINUTE < HOUR < DAY
