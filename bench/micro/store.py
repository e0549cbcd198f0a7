"""What recording costs: `python -m bench.micro.store`.

On the request path, in the thread that writes, and all in: a writer that has to keep up with as
many records as it can, on SQLite, and on PostgreSQL where `GATEWAY_BENCH_STORE` is the URL of an
empty database. Records are what an ordinary day looks like: 50 tokens, 20 models, 2 % failed.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
import timeit
from math import inf
from pathlib import Path
from typing import Final

import trio

from gateway.core.records.record import AttemptRecord, EndReason, Record
from gateway.store.engine import migrate
from gateway.store.engine.database import Database
from gateway.store.writing.batch import Batch, decode, encode
from gateway.store.writing.rollup_rows import RollupModels, rollup_rows
from gateway.store.writing.rows import attempt_rows, request_row
from gateway.store.writing.writer import Writer

ROWS: Final = 20_000
EPOCH: Final = 1_790_000_000.0
MANY: Final = 10**12


def run() -> dict[str, float]:
    """Return µs per record, by what was measured."""
    records = [_record(number) for number in range(500)]
    rows = [request_row(record, number) for number, record in enumerate(records)]
    batch, models = Batch(1, records, []), RollupModels()
    payload = encode(batch)
    results = {
        "record()": _recording(records[0]),
        "thread: rows of a record": _best(
            lambda: [(request_row(each, 1), attempt_rows(each, 1)) for each in records]
        ),
        "thread: roll-ups": _best(lambda: rollup_rows(rows, models)),
        "thread: into the journal's form": _best(lambda: encode(batch)),
        "thread: and back": _best(lambda: decode(payload)),
    }
    with tempfile.TemporaryDirectory() as folder:
        urls = {"SQLite": "sqlite:///gateway.db", "PostgreSQL": os.environ.get(_VARIABLE, "")}
        for name, url in urls.items():
            if url:
                wall, cpu = _writing(url, Path(folder), name)
                results |= {f"{name}: all in": wall, f"{name}: CPU of this process": cpu}
    return results


_VARIABLE: Final = "GATEWAY_BENCH_STORE"


def _record(number: int) -> Record:
    rng = random.Random(number)
    failed = rng.random() < 0.02
    first_event = rng.uniform(100, 2000)
    return Record(
        request_id=f"req_{rng.getrandbits(112):028x}",
        time=EPOCH + number * 0.001,
        token=f"token-{number % 50}",
        model=f"model-{rng.randrange(20)}",
        provider="openai",
        provider_model="gpt-5-2026",
        stream=True,
        status=502 if failed else 200,
        end_reason=EndReason.PROVIDERS_FAILED if failed else EndReason.COMPLETE,
        error="The provider answered 503." if failed else None,
        input_tokens=1200,
        output_tokens=300,
        cached_tokens=100,
        cost_nano_usd=1_234_000,
        latency_ms=first_event * 5,
        first_event_ms=first_event,
        attempts=[AttemptRecord(provider="openai", model="gpt-5-2026", duration_ms=first_event)],
        events=300,
        client="10.1.2.3",
        user_agent="OpenAI/Python 3.1.0",
        trace_id=f"{rng.getrandbits(128):032x}",
    )


def _recording(record: Record) -> float:
    """Measure what a request waits for."""
    database = Database("sqlite:///none.db", Path())

    def work() -> None:
        for _ in range(500):
            record_(record)

    best = inf
    for _ in range(50):
        record_ = Writer(database, Path(), max_bytes=1, max_waiting=10_000).record
        best = min(best, timeit.timeit(work, number=1))
    return best / 500 * 1e6


def _writing(url: str, folder: Path, name: str) -> tuple[float, float]:
    """Return µs of wall time and of CPU time per record, with as many as the writer can take."""
    database = Database(url, folder)
    migrate.upgrade(database)
    writer = Writer(database, folder / name, max_bytes=MANY, max_waiting=2 * ROWS)
    records = [_record(number) for number in range(ROWS)]

    async def fill() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            for start in range(0, ROWS, 100):
                for record in records[start : start + 100]:
                    writer.record(record)
                await trio.lowlevel.checkpoint()
            while writer.status.written < ROWS:  # noqa: ASYNC110  # nobody tells
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel("all is written")

    wall, cpu = time.perf_counter(), time.process_time()
    trio.run(fill)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    assert writer.status.dropped == 0
    database.close()
    return wall / ROWS * 1e6, cpu / ROWS * 1e6


def _best(function: object) -> float:
    """Return the best time of `function`, which does 500, in µs of one."""
    timer = timeit.Timer(function)  # type: ignore[arg-type]
    return min(timer.repeat(5, 20)) / 20 / 500 * 1e6
