from __future__ import annotations

import pytest
import trio

from gateway.errors import StoreUnavailable
from gateway.store.engine.database import Database
from gateway.store.export.export import Export, ExportFormat, ExportKind
from gateway.store.export.stream import ExportStream
from gateway.store.queries.filters import Filter

from ..exported import exported, request, store


def jsonl(page_rows: int = 5) -> Export:
    return Export(ExportKind.REQUESTS, Filter(), ExportFormat.JSONL, page_rows=page_rows)


async def test_its_bytes_are_those_of_the_other_way(database: Database) -> None:
    store(database, requests_=[request(number) for number in range(23)])
    stream = ExportStream(database, jsonl())
    chunks = [chunk async for chunk in stream]
    assert len(chunks) == 5
    assert b"".join(chunks) == exported(database, jsonl(1000))
    assert await stream.next_chunk() is None


@pytest.mark.measured
async def test_others_have_their_turn(sqlite_database: Database) -> None:
    store(sqlite_database, requests_=[request(number) for number in range(2000)])
    busy = rested = 0.0

    async def watch() -> None:
        # Counts the moments in which no page is being made.
        nonlocal busy, rested
        while True:
            before = trio.current_time()
            await trio.sleep(0.001)
            took = trio.current_time() - before
            if sqlite_database._read_threads.busy:
                busy += took
            else:
                rested += took

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        async for _ in ExportStream(sqlite_database, jsonl(200)):
            pass
        nursery.cancel_scope.cancel()
    assert rested > busy * 0.5 > 0


async def test_cancelled_it_leaves_nothing_and_says_so(database: Database) -> None:
    store(database, requests_=[request(number) for number in range(20)])
    stream = ExportStream(database, jsonl())
    assert await stream.next_chunk()
    with trio.CancelScope() as scope:
        scope.cancel()
        await stream.next_chunk()
    assert scope.cancelled_caught
    # Cancelled while it rested, and nothing was lost; in a step it would have been.
    rest = [chunk async for chunk in stream]
    assert len(rest) == 3


async def test_cancelled_within_a_step_it_cannot_go_on(sqlite_database: Database) -> None:
    store(sqlite_database, requests_=[request(number) for number in range(20)])
    stream = ExportStream(sqlite_database, jsonl())
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def cancel() -> None:
                while not sqlite_database._read_threads.busy:
                    await trio.lowlevel.checkpoint()
                scope.cancel()

            nursery.start_soon(cancel)
            await stream.next_chunk()
    assert scope.cancelled_caught
    with pytest.raises(RuntimeError, match="broken off"):
        await stream.next_chunk()


async def test_a_database_that_is_away_is_said(sqlite_database: Database) -> None:
    stream = ExportStream(sqlite_database, jsonl())
    sqlite_database.close()
    with pytest.raises(StoreUnavailable):
        await stream.next_chunk()
    with pytest.raises(RuntimeError):
        await stream.next_chunk()
