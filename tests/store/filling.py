"""Fill a database with requests as they come: many rows of few models, tokens and faults.

One day is made up in Python and written; the days before it are copies of it, made by the
database itself, with keys, times and request ids of their own.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final

from sqlalchemy import Connection, Table, func, insert, literal, select, text

from gateway.core.records.histogram import BOUNDS
from gateway.core.records.periods import DAY, HOUR, MINUTE
from gateway.core.records.record import WELL, EndReason
from gateway.store.engine.ids import id_of, time_of
from gateway.store.engine.schema import FIRST_EVENT, LATENCY, attempts, requests, rollups

SECOND: Final = 1_000_000
DAY_US: Final = DAY * SECOND
PROVIDERS: Final = ("openai", "azure", "anthropic", "mistral", "local")
MODELS: Final = tuple(f"model-{letter}" for letter in "abcdefghijkl")
TOKENS: Final = tuple(f"team-{number:03}" for number in range(200))
# These are on two requests of a day each.
RARE_TOKEN: Final = "rare-token"
RARE_MODEL: Final = "rare-model"
# On one request of all: the first of the first day.
NEEDLE: Final = "needle/7.3"
_STATUSES: Final = (400, 401, 429, 499, 502, 504, 200)
_ENDS: Final = (
    EndReason.PROVIDER_REJECTED,
    EndReason.REJECTED,
    EndReason.PROVIDERS_FAILED,
    EndReason.CLIENT_GONE,
    EndReason.PROVIDERS_FAILED,
    EndReason.TOTAL_TIMEOUT,
    EndReason.UPSTREAM_BROKE,
)
_CAUSES: Final = ("rate_limited", "connect_failed", "timeout", "server_error")
_FAULTS: Final = 0.02
# Row by row into indexes costs less than building them anew, up to about here.
_FEW: Final = 100_000
# As many rows are made once and not anew for each test.
_KEPT: Final = 5_000
_Made = list[tuple[tuple[Any, ...], list[tuple[Any, ...]]]]


def fill(connection: Connection, rows: int, *, end: int, days: int = 1, seed: int = 0) -> None:
    """Write `rows` requests of the `days` before `end` (µs, a full hour), attempts and roll-ups."""
    assert end % (HOUR * SECOND) == 0
    indexes = _indexes(connection) if rows > _FEW else {}
    for name in indexes:
        connection.execute(text(f"DROP INDEX {name}"))
    start = end - DAY_US
    made = _made(seed, max(2, rows // days), start)
    _write(connection, requests, [row for row, _ in made])
    _write(connection, attempts, [each for _, tries in made for each in tries])
    _roll_up(connection, MINUTE, start)
    _roll_up(connection, HOUR, start)
    for ago in range(1, days):
        _copy_day(connection, start, ago)
    _days_of_hours(connection)
    first = select(func.min(requests.c.id)).scalar_subquery()
    connection.execute(requests.update().where(requests.c.id == first).values(user_agent=NEEDLE))
    for definition in indexes.values():
        connection.execute(text(definition))


def _indexes(connection: Connection) -> dict[str, str]:
    """Return the statements that make the indexes of requests, by their names.

    As the database has them: the tables' description says of which rows an index is for SQLite
    alone, and PostgreSQL would get indexes of all rows of it.
    """
    if connection.dialect.name == "postgresql":
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'requests'"
    else:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'requests'"
    found = [(name, made) for name, made in connection.execute(text(query))]
    # That of the key is dropped with the key alone.
    return {name: made for name, made in found if made and not name.startswith("pk_")}


def plain(row_id: int, **changes: Any) -> dict[str, Any]:
    """Return a row of `requests` with that key, as it is when nothing is to be said of it."""
    row: dict[str, Any] = dict.fromkeys(each.name for each in requests.columns)
    row |= {"id": row_id, "request_id": f"req_{row_id:x}", "time": time_of(row_id)}
    row |= {"operation": "chat", "stream": False, "cached": False, "status": 200}
    row |= {"end_reason": "complete", "latency_us": 1, "attempts": 0, "events": 0}
    row |= {"malformed_events": 0} | changes
    return row | {"failed": row["end_reason"] not in WELL}


def settle(connection: Connection) -> None:
    """Do after filling what PostgreSQL does by itself after a while; not in a transaction."""
    connection.execute(text("VACUUM ANALYZE"))


def _made(seed: int, count: int, start: int) -> _Made:
    make = _kept_day if count <= _KEPT else _new_day
    return make(seed, count, start)


def _new_day(seed: int, count: int, start: int) -> _Made:
    return [*_day(random.Random(seed), count, start)]


# Many tests of a file begin with the same rows.
_kept_day = lru_cache(maxsize=8)(_new_day)


def _day(
    rng: random.Random, count: int, start: int
) -> Iterator[tuple[tuple[Any, ...], list[tuple[Any, ...]]]]:
    step = DAY_US / count
    models = [*accumulate(1 / rank for rank in range(1, len(MODELS) + 1))]
    tokens = [*accumulate(1 / rank for rank in range(1, len(TOKENS) + 1))]
    chance = rng.random
    for number in range(count):
        time = int(start + (number + chance()) * step)
        row_id = id_of(time, rng.getrandbits(10))
        token_number = bisect(tokens, chance() * tokens[-1])
        # A team has its few models.
        favourite = bisect(models, chance() * models[-1])
        model_number = favourite if chance() < 0.2 else (token_number * 7 + favourite % 2) % 12
        model, token = MODELS[model_number], TOKENS[token_number]
        if number in (count // 3, count // 2):
            model, token = RARE_MODEL, RARE_TOKEN
        provider: str | None = PROVIDERS[(model_number + (chance() < 0.15)) % len(PROVIDERS)]
        stream, cached, failed = chance() < 0.6, chance() < 0.05, chance() < _FAULTS
        fault = int(chance() * len(_STATUSES))
        latency = int(rng.lognormvariate(14.2, 0.9))
        if failed and _ENDS[fault] is EndReason.REJECTED:
            provider = None
        if cached or provider is None:
            latency //= 400
        status, end = (_STATUSES[fault], _ENDS[fault]) if failed else (200, EndReason.COMPLETE)
        if cached and not failed:
            end = EndReason.CACHED
        input_tokens, output_tokens = int(rng.expovariate(1 / 900)), int(rng.expovariate(1 / 250))
        reported = not failed
        first_event = latency // 5 if stream and reported else None
        paid = 0 if cached else input_tokens * 150 + output_tokens * 600
        cost = paid if reported else None
        tries: list[tuple[Any, ...]] = []
        if not cached and provider is not None:
            cause = None if reported else _CAUSES[fault % len(_CAUSES)]
            if chance() < 0.03:
                tries.append((row_id, 1, "azure", model, _CAUSES[number % 4], 503, "upstream said"
                              " it was too busy", 0, latency // 9, None, None))  # fmt: skip
            tries.append((row_id, len(tries) + 1, provider, model, cause, status, None, 0,
                          latency, first_event, cost))  # fmt: skip
        yield (
            (
                row_id,
                f"req_{rng.getrandbits(112):028x}",
                time,
                "chat",
                token,
                model,
                provider,
                f"{model}-2026-05-01",
                stream,
                cached,
                status,
                end.value,
                end not in WELL,
                f"The provider answered {status} after all attempts had failed."
                if failed
                else None,
                "all_providers_failed" if failed else None,
                input_tokens if reported else None,
                output_tokens if reported else None,
                input_tokens // 3 if reported else None,
                0 if reported else None,
                *((0, 0, 0, 0, 0) if reported else (None,) * 5),
                cost,
                None,
                latency,
                first_event,
                len(tries),
                output_tokens if stream and reported else 0,
                0,
                f"user-{int(chance() ** 3 * 20_000):05}" if chance() < 0.6 else None,
                f"session-{rng.getrandbits(32):08x}" if chance() < 0.3 else None,
                f"10.0.{int(chance() * 8)}.{int(chance() * 250)}",
                ("openai-python/3.1.0", "OpenAI/JS 7.2.1", "curl/8.11.0")[number % 3],
                f"{rng.getrandbits(128):032x}",
                None,
                None,
                None,
                None,
                *(None, None),
                None if cost is None else "route",
                "provider" if reported else None,
                None,
            ),
            tries,
        )


def _write(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    names = ", ".join(f'"{each.name}"' for each in table.columns)
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "postgresql":
        with (
            driver.cursor() as cursor,
            cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as to,
        ):
            for row in rows:
                to.write_row(row)
    else:
        marks = ", ".join("?" * len(table.columns))
        driver.executemany(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", rows)  # noqa: S608


def _roll_up(connection: Connection, period: int, start: int) -> None:
    """Add up the requests from `start` on, as the writer does while they come."""
    width = period * SECOND
    of = requests.c
    keys = [
        (of.time // width * width).label("start"),
        *(func.coalesce(each, "").label(each.name) for each in (of.model, of.provider, of.token)),
        of.status,
    ]

    def count_of(condition: Any) -> Any:
        return func.count().filter(condition)

    def total(value: Any) -> Any:
        return func.coalesce(func.sum(value), 0)

    sums = {
        "requests": func.count(),
        "errors": count_of(of.failed),
        "cached": count_of(of.cached),
        "attempts": total(of.attempts),
        "cost_unknown": count_of(
            of.cost_nano_usd.is_(None)
            & (of.input_tokens.is_not(None) | of.first_event_us.is_not(None))
        ),
        **{
            name: total(of[name])
            for name in (
                "input_tokens",
                "output_tokens",
                "cached_tokens",
                "reasoning_tokens",
                "cache_write_tokens",
                "cost_nano_usd",
                "reported_cost_nano_usd",
                "latency_us",
                "first_event_us",
            )
        },
    }
    low = (-1, *BOUNDS)
    high = (*BOUNDS, 1 << 62)
    for names, value in ((LATENCY, of.latency_us), (FIRST_EVENT, of.first_event_us)):
        for number, name in enumerate(names):
            sums[name] = count_of((value > low[number]) & (value <= high[number]))
    query = (
        select(literal(period), *keys, *sums.values())
        .where(of.time >= start)
        .group_by(*(text(str(place)) for place in range(2, 7)))
    )
    names = ("period", *(each.name for each in keys), *sums)
    connection.execute(insert(rollups).from_select([*names], query, include_defaults=False))


def _copy_day(connection: Connection, start: int, ago: int) -> None:
    shift = ago * DAY_US
    changed = {
        "id": requests.c.id - (shift << 10),
        "time": requests.c.time - shift,
        "request_id": func.substr(requests.c.request_id, 1, 28) + f"{ago:04x}",
    }
    _copy(connection, requests, changed, requests.c.time >= start)
    _copy(connection, attempts, {"request": attempts.c.request - (shift << 10)},
          attempts.c.request >= id_of(start, 0))  # fmt: skip
    _copy(connection, rollups, {"start": rollups.c.start - shift}, rollups.c.start >= start)


def _copy(connection: Connection, table: Table, changed: dict[str, Any], those: Any) -> None:
    columns = [changed.get(each.name, each) for each in table.columns]
    query = select(*columns).where(those)
    names = [each.name for each in table.columns]
    connection.execute(insert(table).from_select(names, query, include_defaults=False))


def _days_of_hours(connection: Connection) -> None:
    day = rollups.c.start // DAY_US * DAY_US
    keys = [day, *(rollups.c[name] for name in ("model", "provider", "token", "status"))]
    names = [each.name for each in rollups.columns][6:]
    query = (
        select(literal(DAY), *keys, *(func.sum(rollups.c[name]) for name in names))
        .where(rollups.c.period == HOUR)
        .group_by(*keys)
    )
    targets = [each.name for each in rollups.columns]
    connection.execute(insert(rollups).from_select(targets, query, include_defaults=False))
