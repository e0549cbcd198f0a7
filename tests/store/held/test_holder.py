"""What a process holds in the database, of both kinds, and who takes it over."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from gateway.store.control.generations import KEYS, advance
from gateway.store.engine.database import Database
from gateway.store.held.holder import Holder
from gateway.store.held.jobs import JOBS, RETENTION, Leadership
from gateway.store.held.lock_files import LockFiles

from ...fork_server import popen
from ...postgres import PostgresServer

ALL = frozenset(JOBS)
LEADER = """
import sys, trio
from pathlib import Path
from gateway.store.engine.database import Database
from gateway.store.held.holder import Holder
from gateway.store.held.jobs import JOBS, Leadership

async def main():
    leadership = Leadership()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Holder(Database(sys.argv[1], Path("/")), leadership, lambda: None).run)
        for job in JOBS:
            await leadership.taken(job)
        print("leads", end="", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


class Process:
    """One that holds its place, and how often it was told that there is something to see."""

    def __init__(self, database: Database) -> None:
        self.leadership = Leadership()
        self.heard = 0
        self.holder = Holder(database, self.leadership, self._hear)

    def _hear(self) -> None:
        self.heard += 1


@asynccontextmanager
async def process(database: Database) -> AsyncIterator[Process]:
    made = Process(database)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.holder.run)
        yield made
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.005)


def url_of(database: Database) -> str:
    if database.dialect == "sqlite":
        return database.name
    return database._backend.writer.url.render_as_string(hide_password=False)


def change(database: Database) -> None:
    database.write_now(lambda connection: advance(connection, KEYS))


@pytest.mark.slow
async def test_one_leads_and_another_takes_over_when_it_is_killed(database: Database) -> None:
    killed = await popen.open_process(
        [*popen.SCRIPT, LEADER, url_of(database)], stdout=subprocess.PIPE
    )
    assert killed.stdout is not None
    async with killed.stdout:
        with trio.fail_after(30):
            assert await killed.stdout.receive_some() == b"leads"
    async with process(database) as two, process(database) as three:
        await trio.sleep(0.2)
        assert two.leadership.held | three.leadership.held == frozenset()
        os.kill(killed.pid, signal.SIGKILL)
        await killed.wait()
        with trio.fail_after(30):
            for job in JOBS:
                async with trio.open_nursery() as nursery:
                    for each in (two, three):
                        nursery.start_soon(_first, each.leadership, job, nursery.cancel_scope)
        assert not two.leadership.held & three.leadership.held
        assert two.leadership.held | three.leadership.held == ALL


async def _first(leadership: Leadership, job: str, scope: trio.CancelScope) -> None:
    await leadership.taken(job)
    scope.cancel()


async def test_who_ends_lets_go_at_once(database: Database) -> None:
    async with process(database) as one:
        await until(lambda: one.leadership.held == ALL)
    assert one.leadership.held == frozenset()
    async with process(database) as two:
        await until(lambda: two.leadership.held == ALL, 30)


@pytest.mark.measured
async def test_changes_are_heard_at_once(postgresql_database: Database) -> None:
    database = postgresql_database
    async with process(database) as one, process(database) as two:
        await until(lambda: one.heard > 0 and two.heard > 0)
        for _ in range(3):
            one.heard = two.heard = 0
            change(database)
            await until(lambda: one.heard > 0 and two.heard > 0, 0.5)
        # Of a change that does not come to be nothing is heard.
        await trio.sleep(0.05)
        before = one.heard, two.heard

        def refuse(connection: object) -> None:
            advance(connection, KEYS)  # type: ignore[arg-type]
            raise RuntimeError

        with pytest.raises(RuntimeError):
            database.write_now(refuse)
        await trio.sleep(0.2)
        assert (one.heard, two.heard) == before
    assert database.busy == 0


@pytest.mark.parametrize("fault", ["killed", "terminated"])
@pytest.mark.measured
async def test_a_server_that_comes_back_is_listened_to_again(
    fault: str, postgresql_database: Database, postgres: PostgresServer
) -> None:
    database = postgresql_database
    async with process(database) as one:
        await until(lambda: one.leadership.held == ALL)
        heard = one.heard
        if fault == "killed":
            postgres.kill()
            await until(lambda: not one.leadership.held)
            postgres.start()
        else:
            postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname LIKE 'test%'"
            )
            await until(lambda: not one.holder.listening)
        # Whatever was missed meanwhile is looked for.
        await until(lambda: one.leadership.held == ALL and one.heard > heard)
        heard = one.heard
        change(database)
        await until(lambda: one.heard > heard, 1)


@pytest.mark.measured
async def test_a_server_that_is_frozen_leaves_nobody_in_the_lead(
    postgresql_database: Database, postgres: PostgresServer
) -> None:
    database = postgresql_database
    try:
        async with process(database) as one:
            await until(lambda: one.leadership.held == ALL)
            postgres.freeze()
            # Nor does it hold up the end of the process.
            await until(lambda: not one.leadership.held)
            began = trio.current_time()
        assert trio.current_time() - began < 3
    finally:
        # Others have it after this test, whatever became of it.
        postgres.thaw()


def test_a_lock_file_that_is_taken_away_is_made_anew(tmp_path: Path) -> None:
    one, two = LockFiles(tmp_path / "gateway.db"), LockFiles(tmp_path / "gateway.db")
    assert one.take() == ALL
    assert two.take() == frozenset()
    (tmp_path / f"gateway.db.{RETENTION}.lock").unlink()
    assert two.take() == {RETENTION}
    # The other sees that its lock is of no file any more.
    assert one.take() == ALL - {RETENTION}
    two.close()
    assert one.take() == ALL
    one.close()
    one.close()
    assert (tmp_path / f"gateway.db.{RETENTION}.lock").stat().st_mode & 0o777 == 0o600


async def test_without_a_folder_nobody_leads(tmp_path: Path) -> None:
    database = Database("sqlite:///gone/gateway.db", tmp_path)
    async with process(database) as one:
        await trio.sleep(0.2)
        assert not one.leadership.held
        (tmp_path / "gone").mkdir()
        await until(lambda: one.leadership.held == ALL)
    database.close()
