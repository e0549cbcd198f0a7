"""The store fails in every way it can, under load: no request notices, and nothing is lost."""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from ..postgres import PostgresServer
from ..rounds import rounds
from ..store.small_disk import SmallDisk
from .caller import ask, get
from .harness import GATEWAY, PATIENCE, Served, spawned
from .provider import until
from .store import ADMIN, Kept, Load, admin, demo, eventually, kept, loading

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]

# What was answered so long before a SIGKILL is on record: a flush interval of 0.25 s, and what a
# busy machine makes of it.
FLUSHED: Final = 1.0

SQLITE: Final = "sqlite:///gateway.db"

_log = logging.getLogger(__name__)


def note(what: str, figure: object) -> None:
    """Say a figure of which nothing is demanded; `--log-cli-level=info` shows them."""
    _log.info("%s: %s", what, figure)


async def in_thread(work: Callable[[], object]) -> None:
    await trio.to_thread.run_sync(work)


async def stops(served: Served) -> None:
    """Stop the gateway in order; it has made no mistake."""
    served.terminate()
    assert await served.exit_status() == 0
    assert b"Traceback" not in served.said, served.said.decode()


async def store_of(served: Served) -> dict[str, Any]:
    found: dict[str, Any] = (await admin(served.port, "status"))["store"]
    return found


async def is_away(served: Served) -> dict[str, Any]:
    """Return what the gateway says of its store once it knows that it is away."""
    found: dict[str, Any] = {}

    async def is_said() -> bool:
        found.update(await store_of(served))
        return found["since"] is not None and bool(found["journaled"])

    await eventually(is_said, "a store that is away")
    return found


async def is_all_there(load: Load, on_record: Kept) -> None:
    """Check that each request went well, and is on record once, and in the roll-ups."""
    assert not load.failed
    assert load.answered
    assert sorted(await on_record.until(load.answered)) == sorted(load.answered)
    await in_thread(on_record.check_rollups)


# PostgreSQL...


@pytest.mark.parametrize("trouble", ["killed", "frozen"])
async def test_postgresql_is_away_under_load(
    trouble: str, postgres: PostgresServer, on_postgresql: Kept, write: Write
) -> None:
    away, back = {
        "killed": (postgres.kill, postgres.start),
        # Noticed after the five seconds that the writer waits for a transaction.
        "frozen": (postgres.freeze, postgres.thaw),
    }[trouble]
    async with spawned(GATEWAY, write(demo(store=on_postgresql.store))) as served:
        async with loading(served.port) as load:
            await trio.sleep(1)
            began = trio.current_time()
            try:
                await in_thread(away)
                meanwhile = await is_away(served)
                await trio.sleep(0.5)
            finally:
                await in_thread(back)
            ended = trio.current_time()
            await trio.sleep(1)
        await is_all_there(load, on_postgresql)
        afterwards = await store_of(served)
        await stops(served)
    assert meanwhile["since"] is not None
    assert meanwhile["journaled"] > 0
    assert afterwards["since"] is None
    assert [afterwards[name] for name in ("crowded_out", "rejected", "lost")] == [0, 0, 0]
    assert b"the database takes no records" in served.said
    assert b"the database takes records again" in served.said
    note("requests", len(load.answered))
    note("p99_ms_before", load.p99(until=began))
    note("p99_ms_while_away", load.p99(began, ended))
    note("p99_ms_afterwards", load.p99(ended))


async def test_postgresql_is_away_at_the_start(
    postgres: PostgresServer, on_fresh_postgresql: Kept, write: Write
) -> None:
    await in_thread(postgres.kill)
    # Otherwise it is closed until the database says whether it has keys.
    meant = "drain_delay = 0\nopen = true"
    async with spawned(
        GATEWAY, write(demo(store=on_fresh_postgresql.store, server=meant))
    ) as served:
        async with loading(served.port) as load:
            await trio.sleep(1)
            # What it has of the store it says, and what it hasn't it says, too.
            assert (await store_of(served))["written"] == 0
            reply = await get(served.port, "/admin/api/requests", key=ADMIN)
            assert reply.status == 503
            await in_thread(postgres.start)
            await trio.sleep(1)

        async def is_written() -> bool:
            # Before it is, there may be no tables yet.
            return bool((await store_of(served))["written"] >= len(load.answered))

        await eventually(is_written, "written records")
        await is_all_there(load, on_fresh_postgresql)
        await stops(served)


async def test_whether_there_are_keys_is_asked_before_anyone_is_let_in(
    postgres: PostgresServer, on_fresh_postgresql: Kept, write: Write
) -> None:
    await in_thread(postgres.kill)
    async with spawned(GATEWAY, write(demo(store=on_fresh_postgresql.store))) as served:
        reply = await ask(served.port)
        assert (reply.status, reply.error["code"]) == (503, "store_unavailable")
        assert "retry-after" in reply.headers
        await in_thread(postgres.start)

        async def is_open() -> bool:
            return (await ask(served.port)).status == 200

        await eventually(is_open, "an open gateway")
        await stops(served)


# SQLite...


async def test_sqlite_is_locked_by_another_process(
    on_sqlite: Kept, tmp_path: Path, write: Write
) -> None:
    async with spawned(GATEWAY, write(demo())) as served:
        async with loading(served.port) as load:
            await trio.sleep(1)
            with closing(sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)) as other:
                other.execute("BEGIN EXCLUSIVE")
                began = trio.current_time()
                # Noticed after the five seconds that the writer waits for a transaction.
                meanwhile = await is_away(served)
                other.execute("ROLLBACK")
            ended = trio.current_time()
            await trio.sleep(0.5)
        await is_all_there(load, on_sqlite)
        assert (await store_of(served))["since"] is None
        await stops(served)
    assert meanwhile["since"] is not None
    assert meanwhile["journaled"] > 0
    note("p99_ms_before", load.p99(until=began))
    note("p99_ms_while_locked", load.p99(began, ended))


async def test_disk_is_full(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk", "8m") as disk, kept(SQLITE, disk.folder) as on_disk:
        file = disk.folder / "config.toml"
        file.write_text(demo(store="max_waiting = 100", more="[metrics]\npublic = true"))
        async with spawned(GATEWAY, file) as served:
            async with loading(served.port, callers=12, pace=0.2) as load:
                await trio.sleep(1)
                began = trio.current_time()
                filler = disk.folder / "filler"
                fill(filler)

                async def is_crowded() -> bool:
                    return bool((await store_of(served))["crowded_out"])

                await eventually(is_crowded, "dropped records")
                await trio.sleep(1)
                ended = trio.current_time()
                filler.unlink()
                await trio.sleep(1)
            assert not load.failed

            async def is_idle() -> bool:
                state = await store_of(served)
                return not (state["waiting"] or state["journal_bytes"])

            await eventually(is_idle, "nothing that waits")
            dropped = (await store_of(served))["crowded_out"]
            counts = {}
            for line in (await get(served.port, "/metrics")).body.decode().splitlines():
                name, _, value = line.rpartition(" ")
                counts[name] = value
            assert float(counts["gateway_log_dropped_total"]) == dropped
            await stops(served)
        assert b"records are dropped" in served.said
        assert b"records were dropped" in served.said
        found = on_disk.ids()
        on_disk.check_rollups()
    # What was kept is there, and what was not is counted: nothing in between.
    assert len(found) == len(set(found)) == len(load.answered) - dropped
    assert set(found) <= load.answered.keys()
    note("dropped", dropped)
    note("p99_ms_before", load.p99(until=began))
    note("p99_ms_while_full", load.p99(began, ended))


def fill(file: Path) -> None:
    """Write until there is no room any more."""
    with file.open("wb", buffering=0) as filler:
        for size in (64 * 1024, 512):
            try:
                while filler.write(b"x" * size) == size:
                    pass
            except OSError:
                continue


# The gateway...


@pytest.mark.soak
@pytest.mark.parametrize(
    ("engine", "kills"), [("sqlite", rounds(3, 10)), ("postgresql", rounds(2, 10))]
)
@pytest.mark.measured
async def test_sigkill_loses_one_flush_interval(
    engine: str,
    kills: int,
    request: pytest.FixtureRequest,
    write: Write,
) -> None:
    on_record: Kept = request.getfixturevalue(f"on_{engine}")
    file = write(demo(store=on_record.store))
    certain: set[str] = set()
    recent: list[set[str]] = []
    for run in range(kills):
        async with spawned(GATEWAY, file) as served:
            async with loading(served.port, name=f"run{run}") as load:
                # At another moment of its life each time, some before anything was flushed; the
                # last one, also on a busy machine, when there are answers that must be kept.
                if run == kills - 1:
                    await until(lambda: bool(load.answered), "an answer", PATIENCE)
                    await trio.sleep(FLUSHED)
                await trio.sleep(0.3 + 1.5 * (run * 0.618 % 1))
                os.kill(served.pid, signal.SIGKILL)
                killed = trio.current_time()
                load.stop()
            certain |= {each for each, at in load.answered.items() if at < killed - FLUSHED}
            recent.append({each for each, at in load.answered.items() if at >= killed - FLUSHED})
    assert certain
    async with spawned(GATEWAY, file) as served:
        found = await on_record.until(certain)
        # What the last ones left in their journals.
        journal = file.with_name("gateway.journal")
        await until(lambda: not list(journal.iterdir()), "an empty journal", PATIENCE)
        await stops(served)
    found = on_record.ids()
    assert len(found) == len(set(found))
    assert certain <= set(found)
    on_record.check_rollups()
    note("certain", len(certain))
    note("recent", [len(each) for each in recent])
    note("lost", [len(each.difference(found)) for each in recent])


async def test_sigterm_loses_nothing(on_record: Kept, write: Write) -> None:
    async with spawned(GATEWAY, write(demo(store=on_record.store))) as served:
        async with loading(served.port) as load:
            await trio.sleep(1.2)
            await stops(served)
            load.stop()
        found = on_record.ids()
        # Standard output has a line for each request, whether its answer arrived or not.
        await until(lambda: served.lines.count(b"\n") >= len(found), "all lines", PATIENCE)
        lines = [json.loads(line)["request_id"] for line in served.lines.splitlines()]
    assert sorted(found) == sorted(lines)
    assert load.answered.keys() <= set(found)
    assert len(found) == len(set(found))
    on_record.check_rollups()


async def test_sigterm_while_the_store_is_away_loses_nothing(on_sqlite: Kept, write: Write) -> None:
    file = write(demo())
    async with spawned(GATEWAY, file) as served, loading(served.port) as load:
        await trio.sleep(0.5)
        path = file.with_name("gateway.db")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            await trio.sleep(0.5)
            load.stop()
            await stops(served)
            other.execute("ROLLBACK")
    assert set(load.answered).difference(on_sqlite.ids())
    async with spawned(GATEWAY, file) as served:
        await is_all_there(load, on_sqlite)
        await until(lambda: not list((file.parent / "gateway.journal").iterdir()), "no journal")
        await stops(served)
