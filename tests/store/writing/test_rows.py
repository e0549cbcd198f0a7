from __future__ import annotations

import json
from math import inf, nan
from typing import Any

import pytest
from sqlalchemy import insert

from gateway.core.records.record import AttemptRecord, EndReason, SkipRecord
from gateway.store.engine.database import Database
from gateway.store.engine.ids import SPREAD, id_of
from gateway.store.engine.schema import attempts, requests
from gateway.store.writing import rows

from ..recording import record


def named(table: Any, row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip([column.name for column in table.columns], row, strict=True))


def test_each_column_gets_its_field() -> None:
    given = record(
        7,
        time=1_790_000_000.123456,
        status=200,
        end_reason=EndReason.CACHED,
        latency_ms=1234.567,
        first_event_ms=0.0,
        client="10.0.0.1",
        session="s",
        user="u",
        user_agent="curl",
        trace_id="ab" * 16,
        metadata={"x-agent": "a1"},
        cached=True,
        events=3,
        malformed_events=1,
        error="e",
        error_code="c",
        cached_tokens=5,
        reasoning_tokens=6,
        cache_write_tokens=4,
        input_audio_tokens=1,
        output_audio_tokens=2,
        input_image_tokens=3,
        reported_cost_nano_usd=8,
        provider_model="m-1",
        fallback_model="model-4",
        team="search",
        labels={"app": "chat"},
        skipped=[SkipRecord(provider="gone", model="m-2", reason="busy", at_ms=1.5)],
        dropped=["seed", 'a "b"'],
        price_source="litellm 1.0",
        counted_by="provider",
        cache_write_1h_tokens=3,
    )
    row = named(requests, rows.request_row(given, 42))
    assert row == {
        "id": 42,
        "request_id": "req-7",
        "time": 1_790_000_000_123_456,
        "operation": "chat",
        "token": "token-1",
        "model": "model-3",
        "provider": "acme",
        "provider_model": "m-1",
        "stream": False,
        "cached": True,
        "status": 200,
        "end_reason": "cached",
        "failed": False,
        "error": "e",
        "error_code": "c",
        "input_tokens": given.input_tokens,
        "output_tokens": 7,
        "cached_tokens": 5,
        "reasoning_tokens": 6,
        "cache_write_tokens": 4,
        "input_audio_tokens": 1,
        "output_audio_tokens": 2,
        "input_image_tokens": 3,
        "output_image_tokens": None,
        "cost_nano_usd": 7000,
        "reported_cost_nano_usd": 8,
        "latency_us": 1_234_567,
        "first_event_us": 0,
        "attempts": 1,
        "events": 3,
        "malformed_events": 1,
        "user": "u",
        "session": "s",
        "client_ip": "10.0.0.1",
        "user_agent": "curl",
        "trace_id": "ab" * 16,
        "metadata": '{"x-agent":"a1"}',
        "fallback_model": "model-4",
        "skipped": '[{"provider":"gone","model":"m-2","reason":"busy","at_ms":1.5}]',
        "team": "search",
        "labels": '{"app":"chat"}',
        "dropped": '["seed","a \\"b\\""]',
        "price_source": "litellm 1.0",
        "counted_by": "provider",
        "cache_write_1h_tokens": 3,
    }
    assert type(row["end_reason"]) is str


@pytest.mark.parametrize("reason", EndReason)
def test_what_failed_is_told_by_how_it_ended_not_by_its_status(reason: EndReason) -> None:
    well = reason in {EndReason.COMPLETE, EndReason.CACHED, EndReason.CLIENT_GONE}
    for status in (200, 499, 502):
        given = record(1, status=status, end_reason=reason)
        assert named(requests, rows.request_row(given, 1))["failed"] is not well


def test_attempts_are_numbered_from_one() -> None:
    tried = [
        AttemptRecord(provider="a", model="m", cause="status", status=503, error="busy"),
        AttemptRecord(
            provider="b", model="n", wait_ms=1, duration_ms=2, first_event_ms=1.5, cost_nano_usd=9
        ),
    ]
    found = [named(attempts, row) for row in rows.attempt_rows(record(1, attempts=tried), 5)]
    assert [(row["request"], row["number"], row["provider"]) for row in found] == [
        (5, 1, "a"),
        (5, 2, "b"),
    ]
    assert found[0] | found[1] == found[1]
    assert (found[0]["cause"], found[0]["status"], found[0]["error"]) == ("status", 503, "busy")
    assert (found[1]["wait_us"], found[1]["duration_us"], found[1]["first_event_us"]) == (
        1000,
        2000,
        1500,
    )


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("plain", "plain"),
        ("a\0b", "a\ufffdb"),
        ("é\ud800", "é\ufffd"),
        ("😀", "😀"),
        ("x" * 300, "x" * 200),
        (None, None),
        (EndReason.COMPLETE, "complete"),
    ],
)
def test_a_text_is_one_that_both_engines_store(value: str | None, stored: str | None) -> None:
    assert rows.text(value, 200) == stored


@pytest.mark.parametrize(("value", "stored"), [(nan, 0), (-5.0, 0), (inf, rows.MOST_US), (0.0, 0)])
def test_a_clock_that_is_wrong_loses_no_row(value: float, stored: int) -> None:
    row = named(requests, rows.request_row(record(1, latency_ms=value), 1))
    assert row["latency_us"] == stored


def test_the_latest_time_has_a_key_of_63_bits() -> None:
    late = rows.time_us(record(1, time=1e300))
    assert id_of(late, SPREAD - 1) == 2**63 - 1
    assert rows.time_us(record(1, time=nan)) == 0


def test_metadata_is_bounded_and_stays_json() -> None:
    given = {f"x-{number}": "\ud800" * 5000 for number in range(100)}
    row = named(requests, rows.request_row(record(1, metadata=given), 1))
    found = json.loads(row["metadata"])
    assert len(found) == 32
    assert found["x-0"] == "\ufffd" * 1024


def test_what_is_not_of_its_type_is_refused() -> None:
    for changes in ({"model": 5}, {"status": "200"}, {"latency_ms": "slow"}):
        with pytest.raises(TypeError):
            rows.request_row(record(1, **changes), 1)


async def test_the_largest_of_everything_fits(database: Database) -> None:
    wide = "😀" * 5000
    given = record(
        1,
        **dict.fromkeys(
            [
                *("request_id", "token", "model", "provider", "provider_model", "error", "user"),
                *("session", "client", "user_agent", "trace_id", "operation", "error_code"),
            ],
            wide,
        ),
        **dict.fromkeys(
            ("input_tokens", "output_tokens", "cost_nano_usd", "status", "events"), 2**80
        ),
        time=1e300,
        latency_ms=inf,
    )
    row = rows.request_row(given, 2**63 - 1)
    database.write_now(lambda c: c.execute(insert(requests).values(row)))
    assert database.read_now(lambda c: tuple(c.execute(requests.select()).one())) == row
