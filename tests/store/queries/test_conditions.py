from __future__ import annotations

import pytest
from sqlalchemy import insert, select

from gateway.core.records.record import EndReason
from gateway.errors import InvalidRequest
from gateway.store.engine.database import Database
from gateway.store.engine.ids import id_of
from gateway.store.engine.schema import requests, rollups
from gateway.store.queries.conditions import (
    conditions,
    failure_condition,
    id_range,
    status_is,
    unindexed,
)
from gateway.store.queries.filters import LATEST, Filter

from ..filling import plain

# By key, from 1.
ENDS = (
    (200, EndReason.COMPLETE),
    (200, EndReason.UPSTREAM_BROKE),
    (200, EndReason.CLIENT_GONE),
    (429, EndReason.REJECTED),
    # It left while it was told so.
    (429, EndReason.CLIENT_GONE),
    (499, EndReason.CLIENT_GONE),
    (502, EndReason.PROVIDERS_FAILED),
)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (("error",), {2, 4, 7}),
        (("429",), {4, 5}),
        (("4xx",), {4, 5, 6}),
        (("4xx", "502"), {4, 5, 6, 7}),
        (("error", "499"), {2, 4, 6, 7}),
        (("2xx", "error"), {1, 2, 3, 4, 7}),
    ],
)
def test_an_error_is_what_failed_and_a_number_is_a_status(
    database: Database, status: tuple[str, ...], expected: set[int]
) -> None:
    rows = [
        plain(key, status=number, end_reason=reason.value)
        for key, (number, reason) in enumerate(ENDS, 1)
    ]
    database.write_now(lambda connection: connection.execute(insert(requests), rows))
    query = select(requests.c.id).where(conditions(Filter(status=status), database.dialect))
    assert database.read_now(lambda c: {*c.execute(query).scalars()}) == expected
    failures = select(requests.c.id).where(failure_condition())
    assert database.read_now(lambda c: {*c.execute(failures).scalars()}) == {2, 4, 5, 6, 7}


def test_sums_cannot_be_divided_by_what_failed() -> None:
    with pytest.raises(InvalidRequest, match="by status, not by what failed") as caught:
        status_is(rollups.c.status, ("5xx", "error"))
    assert caught.value.param == "status"


def test_only_sqlite_is_told_which_index_not_to_take() -> None:
    assert unindexed(requests.c.model, "postgresql") is requests.c.model
    assert str(unindexed(requests.c.model, "sqlite")) == "+ requests.model"


def test_the_window_as_keys_is_half_open_and_fits_the_database() -> None:
    low, high = id_range(Filter(since=1000, until=2000))
    assert low == id_of(1000, 0)
    assert id_of(1999, 1023) < high == id_of(2000, 0)
    assert id_range(Filter()) == (0, id_of(LATEST, 0))
    assert id_of(LATEST, 1023) < 1 << 63
