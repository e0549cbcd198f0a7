from __future__ import annotations

from sqlalchemy import insert

from gateway.core.records.periods import DAY, HOUR
from gateway.store.engine.database import Database
from gateway.store.engine.schema import FIRST_EVENT, LATENCY, rollups
from gateway.store.queries.spent import name_of, spent_since

_DAY_US = DAY * 1_000_000


def row(period: int, day: int, token: str, cost: int, model: str = "m") -> dict[str, object]:
    sums = ("requests", "errors", "cached", "attempts", "latency_us", "first_event_us")
    tokens = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
    return {
        **dict.fromkeys((*sums, *tokens, *LATENCY, *FIRST_EVENT), 0),
        "period": period,
        "start": day * _DAY_US,
        "model": model,
        "provider": "p",
        "token": token,
        "status": 200,
        "cost_nano_usd": cost,
    }


def test_sums_by_token_from_a_midnight_on(database: Database) -> None:
    rows = [
        row(DAY, 1, "a", 1),
        row(DAY, 2, "a", 10),
        row(DAY, 2, "a", 100, model="n"),
        row(DAY, 3, "a", 10**15),
        row(DAY, 3, "b", 5),
        row(DAY, 3, "free", 0),
        # The same again, by the hour.
        row(HOUR, 3, "b", 5),
    ]
    database.write_now(lambda connection: connection.execute(insert(rollups), rows))
    found = database.read_now(lambda connection: spent_since(connection, 2 * _DAY_US))
    assert found == {"a": 10**15 + 110, "b": 5}
    assert all(type(cost) is int for cost in found.values())
    assert database.read_now(lambda connection: spent_since(connection, 4 * _DAY_US)) == {}


def test_a_long_name_is_looked_up_as_it_was_written() -> None:
    assert name_of("x" * 256) == "x" * 200
    assert name_of("team") == "team"
