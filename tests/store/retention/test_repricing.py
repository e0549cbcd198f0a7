"""Costs computed again: every sum is what it would be if the requests had cost that all along."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from sqlalchemy import select

from gateway.core.records.pricing import Prices
from gateway.core.records.record import AttemptRecord, Record
from gateway.store.engine.database import Database
from gateway.store.engine.schema import requests, rollups, team_rollups
from gateway.store.queries.spent import spent_since
from gateway.store.retention import repricing
from gateway.store.retention.repricing import Repriced, Span, reprice
from gateway.store.writing import chain
from gateway.store.writing.batch import Batch
from gateway.store.writing.insert import write_batches
from gateway.store.writing.rollup_rows import RollupModels

from ..recording import check_sums

DAY = 86_400
START = 1_790_000_000 // DAY * DAY
ALL = Span(0, 2**52)
NEW = Prices(
    input=2,
    output=4,
    cached_input=Decimal("0.2"),
    tiers=((200_000, Prices(input=4, output=8, source="new, above")),),
    source="new",
)


def made(number: int, **more: object) -> Record:
    record = Record(
        request_id=f"req_{number}",
        time=START + number * 1000.0,
        token=f"token-{number % 2}",
        team="team" if number % 2 else None,
        model=f"m{number % 3}",
        provider="p",
        provider_model="real",
        status=200,
        input_tokens=1000,
        output_tokens=100,
        cached_tokens=500,
        cost_nano_usd=777,
        counted_by="provider",
        price_source="old",
        first_event_ms=1.0,
    )
    return msgspec.structs.replace(record, **more)


def write(database: Database, records: list[Record], models: int = 1000) -> None:
    known = RollupModels(models)
    database.write_now(
        lambda connection: write_batches(
            connection, "w", [Batch(1, records, [])], chain.append, known
        )
    )


def costs(database: Database) -> dict[str, tuple[int | None, str | None]]:
    columns = (requests.c.request_id, requests.c.cost_nano_usd, requests.c.price_source)
    found = database.read_now(lambda connection: connection.execute(select(*columns)).all())
    return {name: (nano, source) for name, nano, source in found}


def sums(database: Database) -> list[list[tuple[object, ...]]]:
    return [
        sorted(tuple(row) for row in database.read_now(lambda c, t=t: c.execute(select(t)).all()))  # type: ignore[misc]
        for t in (rollups, team_rollups)
    ]


@pytest.mark.parametrize("models", [1000, 1])
def test_sums_are_those_of_requests_that_had_cost_so_all_along(
    database: Database, monkeypatch: pytest.MonkeyPatch, models: int
) -> None:
    monkeypatch.setattr(repricing, "_BATCH", 3)
    records = [made(number) for number in range(10)]
    records += [
        made(10, cost_nano_usd=None, price_source=None, counted_by=None),
        made(11, input_tokens=200_001, cached_tokens=0),
        # These keep what they had.
        made(12, counted_by="estimated"),
        made(13, input_tokens=None, cost_nano_usd=None),
        made(14, provider_model="unpriced"),
        made(15, cached=True, cost_nano_usd=0),
        made(16, operation="rerank"),
        # An attempt beside the answer was estimated, and is part of the cost.
        made(17, attempts=[AttemptRecord(provider="p", model="x", cost_nano_usd=5)]),
    ]
    write(database, records, models)
    found = Repriced()
    prices = {"real": NEW}
    reprice(database, ALL, lambda _, __, model: prices.get(model), found)
    usual = 500 * 2000 + 500 * 200 + 100 * 4000
    assert (found.requests, found.changed, found.kept) == (16, 13, 3)
    after = costs(database)
    assert after["req_0"] == after["req_10"] == (usual, "new")
    assert after["req_11"] == (200_001 * 4000 + 100 * 8000, "new, above")
    assert after["req_17"] == (usual + 5, "new")
    for number in (12, 14, 16):
        assert after[f"req_{number}"] == (777, "old")
    assert (after["req_13"][0], after["req_15"][0]) == (None, 0)
    if models > 1:
        check_sums(database)
    by_token = database.read_now(lambda connection: spent_since(connection, 0))
    assert sum(by_token.values()) == sum(nano or 0 for nano, _ in after.values())
    spent = database.read_now(lambda connection: spent_since(connection, 0, "team"))
    teams = [number for number in range(18) if number % 2]
    assert spent["team"] == sum(after[f"req_{number}"][0] or 0 for number in teams)
    # Once more changes nothing.
    again, before = Repriced(), sums(database)
    reprice(database, ALL, lambda _, __, model: prices.get(model), again)
    assert (again.changed, again.before_nano_usd) == (0, found.after_nano_usd)
    assert sums(database) == before


def test_only_the_requests_of_the_span_and_only_if_it_is_meant(database: Database) -> None:
    write(database, [made(number) for number in range(4)])
    dry, done = Repriced(), Repriced()
    reprice(database, ALL, lambda *_: NEW, dry, dry=True)
    assert (dry.changed, {nano for nano, _ in costs(database).values()}) == (4, {777})
    span = Span((START + 1000) * 1_000_000, (START + 3000) * 1_000_000)
    reprice(database, span, lambda *_: NEW, done)
    assert [name for name, (_, source) in costs(database).items() if source == "new"] == [
        "req_1",
        "req_2",
    ]
    check_sums(database)
