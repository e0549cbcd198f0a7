from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
import trio
import trio.lowlevel
from sqlalchemy import Connection
from structlog.testing import capture_logs

from gateway.errors import StoreUnavailable
from gateway.store.engine.database import Database
from gateway.store.engine.schema import requests
from gateway.store.writing import rejected
from gateway.store.writing import writer as module

from ...fork_server import popen
from ...postgres import PostgresServer
from ...rounds import rounds
from ..killing import RUN
from ..recording import check, count, event, journals, make, record, request_ids, running, until
from ..small_disk import SmallDisk

pytestmark = pytest.mark.slow

T = TypeVar("T")

ROOT: Final = Path(__file__).parents[3]


class Doubtful(Database):
    """Sometimes its answer is lost, before or after the commit."""

    def __init__(self, url: str, base: Path) -> None:
        super().__init__(url, base)
        self.rng = random.Random(5)
        self.doubts = 0

    async def write(self, work: Callable[[Connection], T], timeout: float = 10.0) -> T:
        luck = self.rng.random()
        if luck < 0.3:
            raise StoreUnavailable("not even tried")
        found = await super().write(work, timeout)
        if luck < 0.6:
            self.doubts += 1
            raise StoreUnavailable("no answer to the commit")
        return found


class Confined(Database):
    """Its file may not grow beyond `pages`, which SQLite calls "full" like a full disk.

    That is for where nothing can be mounted. SQLite forgets the limit with the connection, which is
    another one after a transaction that took too long. So it is set in each.
    """

    pages = 1

    async def write(self, work: Callable[[Connection], T], timeout: float = 10.0) -> T:
        def confined(connection: Connection) -> T:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {self.pages}")
            return work(connection)

        return await super().write(confined, timeout)


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Hold the file's write lock, as another process could."""
    with sqlite3.connect(database.name.removeprefix("sqlite:///"), isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    other.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that a test can wait for."""
    monkeypatch.setattr(module, "TIMEOUT", 0.4)
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.3)
    monkeypatch.setattr(module, "_DISK_PAUSE", 0.1)


async def test_what_is_recorded_is_soon_in_the_database(database: Database, tmp_path: Path) -> None:
    async with running(make(database, tmp_path)) as writer:
        for number in range(30):
            writer.record(record(number))
        writer.audit(event(1))
        assert writer.status.waiting == 31
        await until(lambda: writer.status.written == 31)
        check(database, range(30), events=1)
        writer.audit(event(2))
        await until(lambda: writer.status.written == 32)
    check(database, range(30), events=2)
    assert journals(tmp_path) == []
    assert (writer.status.waiting, writer.status.dropped, writer.status.since) == (0, 0, None)
    assert "waiting=0" in repr(writer)


async def test_more_than_it_can_write_waits_on_disk(database: Database, tmp_path: Path) -> None:
    count = rounds(6000, 12_000)
    async with running(make(database, tmp_path, max_waiting=count // 5)) as writer:
        for number in range(count):
            writer.record(record(number))
            if number % 20 == 0:
                await trio.sleep(0.001)
        await until(lambda: writer.status.written + writer.status.dropped == count)
        assert writer.status.dropped == 0
    check(database, range(count))
    assert journals(tmp_path) == []


async def test_the_exit_writes_all_that_is_left(database: Database, tmp_path: Path) -> None:
    async with running(make(database, tmp_path)) as writer:
        for number in range(5000):
            writer.record(record(number))
        writer.audit(event(1))
    check(database, range(5000), events=1)
    assert journals(tmp_path) == []
    assert writer.status.dropped == 0


async def test_a_server_that_is_killed_under_load_loses_and_doubles_nothing(
    postgresql_database: Database, postgres: PostgresServer, tmp_path: Path, quick: None
) -> None:
    async with running(make(postgresql_database, tmp_path)) as writer:
        made = 0

        async def load() -> None:
            nonlocal made
            while True:
                writer.record(record(made))
                made += 1
                await trio.sleep(0.001)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(load)
            for _ in range(4):
                await trio.sleep(random.uniform(0.1, 0.5))
                await trio.to_thread.run_sync(postgres.kill)
                await trio.sleep(random.uniform(0.1, 0.5))
                await trio.to_thread.run_sync(postgres.start)
            await until(lambda: writer.status.since is None)
            nursery.cancel_scope.cancel("enough")
        assert writer.status.journaled > 0
        await until(lambda: writer.status.written == made)
    assert writer.status.dropped == 0
    check(postgresql_database, range(made))
    assert journals(tmp_path) == []


async def test_a_server_that_hangs_keeps_nothing_in_memory(
    postgresql_database: Database, postgres: PostgresServer, tmp_path: Path, quick: None
) -> None:
    async with running(make(postgresql_database, tmp_path)) as writer:
        writer.record(record(0))
        await until(lambda: writer.status.written == 1)
        postgres.freeze()
        try:
            for number in range(1, 200):
                writer.record(record(number))
                await trio.sleep(0.005)
            await trio.sleep(module.LINGER + module.CONFIRM + 0.2)
            assert writer.status.journaled >= 199
            assert not writer._waiting
            [path] = journals(tmp_path)
            assert path.stat().st_size > 10_000
            await until(lambda: writer.status.since is not None)
        finally:
            postgres.thaw()
        await until(lambda: not journals(tmp_path))
    check(postgresql_database, range(200))
    assert writer.status.dropped == 0


async def test_a_locked_file_fails_nothing(
    sqlite_database: Database, tmp_path: Path, quick: None
) -> None:
    with capture_logs() as lines:
        async with running(make(sqlite_database, tmp_path)) as writer:
            with locked(sqlite_database):
                for number in range(100):
                    writer.record(record(number))
                    await trio.sleep(0.01)
                assert writer.status.since is not None
                assert "locked" in (writer.status.last_error or "")
                assert count(sqlite_database, requests) == 0
            await until(lambda: not journals(tmp_path) and writer.status.since is None)
            writer.record(record(100))
            await until(lambda: writer.status.written == 101)
    check(sqlite_database, range(101))
    # Once, however often it was tried.
    assert [line["event"] for line in lines] == [
        "the database takes no records",
        "the database takes records again",
    ]


async def test_a_full_disk_of_the_database_fails_nothing(
    migrated_file: Path, tmp_path: Path, quick: None
) -> None:
    with SmallDisk(tmp_path / "small", "2m") as disk:
        folder = disk.folder
        shutil.copy(migrated_file, folder / "gateway.db")
        database = Database("sqlite:///gateway.db", folder)
        (folder / "ballast").write_bytes(bytes(1_000_000))
        async with running(make(database, tmp_path)) as writer:
            made = 0
            while writer.status.since is None:
                writer.record(record(made, error="x" * 3000))
                made += 1
                await trio.sleep(0.0005)
            for _ in range(100):
                writer.record(record(made))
                made += 1
                await trio.sleep(0.002)
            assert "full" in (writer.status.last_error or "")
            disk.grow("64m")
            await until(lambda: writer.status.written == made and not journals(tmp_path))
        check(database, range(made))
        assert writer.status.dropped == 0
        database.close()


async def test_a_file_that_may_not_grow_fails_nothing(
    migrated_file: Path, tmp_path: Path, quick: None
) -> None:
    shutil.copy(migrated_file, tmp_path / "gateway.db")
    database = Confined("sqlite:///gateway.db", tmp_path)
    async with running(make(database, tmp_path)) as writer:
        for number in range(300):
            writer.record(record(number))
            await trio.sleep(0.001)
        await until(lambda: "full" in (writer.status.last_error or ""))
        assert writer.status.since is not None
        # All that the file did not take gets into the journal; on a busy machine not at once.
        await until(lambda: writer.status.journaled > 200)
        database.pages = 1_000_000
        await until(lambda: writer.status.written == 300 and not journals(tmp_path))
    check(database, range(300))
    assert writer.status.journaled > 200
    database.close()


async def test_with_no_room_anywhere_the_newest_are_kept_and_the_others_counted(
    sqlite_database: Database, tmp_path: Path, quick: None
) -> None:
    with SmallDisk(tmp_path / "small", "64k") as disk, capture_logs() as lines:
        folder = disk.folder
        async with running(make(sqlite_database, folder, max_waiting=600)) as writer:
            with locked(sqlite_database):
                writer.audit(event(1))
                for number in range(4000):
                    writer.record(record(number))
                    if number % 20 == 0:
                        await trio.sleep(0.005)
                # Either of the two that fail may have been the last.
                await until(lambda: "No space left" in (writer.status.last_error or ""))
                await until(lambda: writer.status.dropped > 1000)
            await until(lambda: not writer.status.waiting and not journals(folder))
            await until(lambda: any(line["event"] == "records were dropped" for line in lines))
        status = writer.status
        assert status.written + status.dropped == 4001
        found = [int(name.removeprefix("req-")) for name in request_ids(sqlite_database)]
        assert found[-600:] == [*range(3400, 4000)]
        check(sqlite_database, found, events=1)
        said = [line["event"] for line in lines]
        assert said.count("records are dropped") == said.count("records were dropped") == 1


async def test_without_a_journal_a_short_outage_costs_nothing(
    sqlite_database: Database, tmp_path: Path, quick: None
) -> None:
    (tmp_path / "journal").write_text("a file")
    with capture_logs() as lines:
        async with running(make(sqlite_database, tmp_path)) as writer:
            with locked(sqlite_database):
                for number in range(700):
                    writer.record(record(number))
                await until(lambda: writer.status.since is not None)
            await until(lambda: writer.status.written == 700)
    check(sqlite_database, range(700))
    assert lines[0]["event"] == "there can be no journal"


async def test_what_the_exit_could_put_nowhere_is_counted(
    sqlite_database: Database, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EXIT_SECONDS", 0.3)
    (tmp_path / "journal").write_text("a file")
    with locked(sqlite_database), capture_logs() as lines:
        async with running(make(sqlite_database, tmp_path)) as writer:
            for number in range(700):
                writer.record(record(number))
            await until(lambda: writer.status.since is not None)
    assert (writer.status.lost, writer.status.dropped) == (700, 700)
    assert lines[-1]["event"] == "records are lost"


async def test_the_exit_tries_a_database_that_was_down_if_there_is_no_journal(
    sqlite_database: Database, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 60.0)
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 60.0)
    (tmp_path / "journal").write_text("a file")
    async with running(make(sqlite_database, tmp_path)) as writer:
        with locked(sqlite_database):
            for number in range(700):
                writer.record(record(number))
            await until(lambda: writer.status.since is not None)
    check(sqlite_database, range(700))
    assert writer.status.dropped == 0


async def test_an_exit_while_the_store_is_down_leaves_a_journal_for_the_next_start(
    sqlite_database: Database, tmp_path: Path, quick: None
) -> None:
    with locked(sqlite_database):
        async with running(make(sqlite_database, tmp_path)) as writer:
            for number in range(700):
                writer.record(record(number))
            writer.audit(event(1))
            await until(lambda: writer.status.since is not None)
            writer.record(record(700))
    assert len(journals(tmp_path)) == 1
    assert writer.status.dropped == 0
    async with running(make(sqlite_database, tmp_path)):
        await until(lambda: not journals(tmp_path))
    check(sqlite_database, range(701), events=1)


async def test_a_lost_answer_to_a_commit_doubles_nothing(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(module, "LINGER", 0.005)
    doubtful = Doubtful("sqlite:///gateway.db", tmp_path)
    async with running(make(doubtful, tmp_path)) as writer:
        written = 0
        # A slow disk has few and large batches, and so few doubts.
        with trio.fail_after(60):
            while written < 1500 or doubtful.doubts <= 10:
                writer.record(record(written))
                written += 1
                if written % 10 == 0:
                    await trio.sleep(0.005)
        writer.audit(event(1))
        doubtful.rng.random = lambda: 0.9  # type: ignore[method-assign]
        await until(lambda: not writer.status.waiting and not journals(tmp_path))
    doubtful.close()
    check(sqlite_database, range(written), events=1)


async def test_two_that_find_the_same_journal_write_it_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in range(5):
        dead = make(database, tmp_path)
        for number in range(name * 100, name * 100 + 100):
            dead.record(record(number))
        dead._backlog.save(dead._waiting.take_all())
        dead._backlog.close()
    assert len(journals(tmp_path)) == 5
    async with running(make(database, tmp_path)) as one, running(make(database, tmp_path)) as two:
        await until(lambda: not journals(tmp_path))
    assert one.status.written + two.status.written == 500
    check(database, range(500))


ADOPTING: Final = """
import sys, trio
from pathlib import Path
from gateway.store.engine.database import Database
from tests.store.recording import journals, make, running, until
async def main():
    folder = Path(sys.argv[2])
    async with running(make(Database(sys.argv[1], folder), folder)) as writer:
        await until(lambda: not journals(folder))
    print(writer.status.written)
trio.run(main)
"""


@pytest.mark.parametrize("writers", [30, 1])
async def test_so_do_three_processes(
    sqlite_database: Database, tmp_path: Path, writers: int
) -> None:
    for first in range(0, 3000, 3000 // writers):
        # Small files: each batch has its own.
        dead = make(sqlite_database, tmp_path, max_bytes=64 * 36_000)
        for start in range(first, first + 3000 // writers, 100):
            for number in range(start, start + 100):
                dead.record(record(number))
            assert dead._backlog.save(dead._waiting.take_all()) == (1, None)
        dead._backlog.close()
    assert len(journals(tmp_path)) == 30
    written = 0

    async def adopt() -> None:
        nonlocal written
        command = [*popen.SCRIPT, ADOPTING, "sqlite:///gateway.db", str(tmp_path)]
        found = await trio.to_thread.run_sync(
            lambda: popen.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        )
        written += int(found.stdout.split()[-1])

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(adopt)
    assert written == 3000
    check(sqlite_database, range(3000))


@pytest.mark.measured
async def test_an_exit_while_the_server_hangs_is_soon_over(
    postgresql_database: Database,
    postgres: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "EXIT_SECONDS", 0.5)
    writer = make(postgresql_database, tmp_path)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            writer.record(record(0))
            await until(lambda: writer.status.written == 1)
            postgres.freeze()
            for number in range(1, 1000):
                writer.record(record(number))
            await trio.sleep(module.LINGER / 2)
            began = trio.current_time()
            nursery.cancel_scope.cancel("the exit")
        assert trio.current_time() - began < 1.5
    finally:
        postgres.thaw()
    assert writer.status.lost == 0
    assert len(journals(tmp_path)) == 1
    async with running(make(postgresql_database, tmp_path)):
        await until(lambda: not journals(tmp_path))
    check(postgresql_database, range(1000))


async def test_a_record_that_can_never_be_written_holds_no_other_up(
    database: Database, tmp_path: Path
) -> None:
    with capture_logs() as lines:
        async with running(make(database, tmp_path)) as writer:
            for number in range(10):
                writer.record(record(number, **({"model": 5} if number == 4 else {})))
            await until(lambda: writer.status.written + writer.status.rejected == 10)
    check(database, {*range(10)} - {4})
    assert (writer.status.rejected, writer.status.dropped) == (1, 1)
    assert [(line["event"], line["request_id"]) for line in lines] == [
        ("a record was rejected", "req-4")
    ]
    [line] = (tmp_path / "journal" / rejected.NAME).read_text().splitlines()
    assert json.loads(line)["item"]["model"] == 5


class CancelAtStep(trio.abc.Instrument):
    """Cancels `scope` before the step number `at` of any of its tasks."""

    def __init__(self, scope: trio.CancelScope, at: int) -> None:
        self.scope, self.at, self.steps = scope, at, 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if "Writer" in task.name:
            self.steps += 1
            if self.steps == self.at:
                self.scope.cancel("a step")


@pytest.mark.parametrize("down", [False, True])
def test_a_cancellation_anywhere_loses_and_doubles_nothing(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, down: bool
) -> None:
    monkeypatch.setattr(module, "LINGER", 0.002)
    monkeypatch.setattr(module, "CONFIRM", 0.001)
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "EXIT_SECONDS", 1.0)

    async def attempt(at: int) -> bool:
        database: Any = sqlite_database
        if down:
            database = Doubtful("sqlite:///gateway.db", tmp_path)
            database.rng.seed(at)
        with trio.CancelScope() as scope:
            instrument = CancelAtStep(scope, at)
            trio.lowlevel.add_instrument(instrument)
            async with trio.open_nursery() as nursery:
                writer = make(database, tmp_path)
                nursery.start_soon(writer.run)
                for number in range(at * 10, at * 10 + 10):
                    writer.record(record(number))
                    recorded.append(number)
                    await trio.sleep(0.001)
                await until(lambda: not writer.status.waiting and writer._unwritten.is_idle)
                nursery.cancel_scope.cancel("all is written")
        trio.lowlevel.remove_instrument(instrument)
        assert writer.status.lost == 0
        if down:
            database.close()
        return instrument.steps >= at

    recorded: list[int] = []
    # One of three steps; of a database that is down, others of them.
    at, every = rounds((1 + down, 3), (1, 1))
    while trio.run(attempt, at) and at < 80:
        at += every
    assert at > 15

    async def adopt() -> None:
        async with running(make(sqlite_database, tmp_path)):
            await until(lambda: not journals(tmp_path))

    trio.run(adopt)
    check(sqlite_database, recorded)


KILLING: Final = """
import sys
from pathlib import Path
from tests.store.killing import main
main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
"""


@pytest.mark.soak
@pytest.mark.parametrize("down", [False, True])
async def test_a_process_that_is_killed_loses_at_most_a_flush_interval(
    sqlite_database: Database, tmp_path: Path, down: bool
) -> None:
    # No server listens at port 1.
    url = "postgresql+psycopg://127.0.0.1:1/none" if down else "sqlite:///gateway.db"
    runs = rounds(6, 20)
    command = [*popen.SCRIPT, KILLING, url, str(tmp_path), str(runs)]
    found = await trio.to_thread.run_sync(
        lambda: popen.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    )
    results = [json.loads(line) for line in found.stdout.splitlines()]
    async with running(make(sqlite_database, tmp_path)):
        await until(lambda: not journals(tmp_path))
    names = request_ids(sqlite_database)
    assert len(names) == len(set(names))
    written = {int(name.removeprefix("req-")) for name in names}
    losses = []
    for run, result in enumerate(results):
        made = result["made"]
        lost = [(number, at) for number, at in made if number not in written]
        # The newest ones, with nothing missing in between.
        assert [number for number, _ in lost] == [n for n, _ in made[len(made) - len(lost) :]]
        losses.append(result["killed"] - lost[0][1] if lost else 0.0)
        assert all(number // RUN == run for number, _ in made)
    # A quarter of a second, and what a machine with other things to do adds.
    assert sorted(losses)[runs // 2] < 0.25, losses
    assert max(losses) < 0.6, losses
    assert sum(len(result["made"]) for result in results) > runs * 20
    check(sqlite_database, sorted(written))


class Threads:
    """Stands in for `trio.to_thread.run_sync`, and sometimes has no thread to give."""

    def __init__(self) -> None:
        self.rng = random.Random(3)
        self.refused = 0
        self.likely = 0.3
        self._real = trio.to_thread.run_sync

    async def __call__(self, work: Callable[[], T], **options: Any) -> T:
        if self.rng.random() < self.likely:
            self.refused += 1
            raise RuntimeError("can't start new thread")
        return await self._real(work, **options)


@pytest.mark.parametrize("locks", [False, True])
async def test_threads_that_cannot_be_had_cost_nothing(
    sqlite_database: Database,
    tmp_path: Path,
    quick: None,
    monkeypatch: pytest.MonkeyPatch,
    locks: bool,
) -> None:
    monkeypatch.setattr(module, "_AGAIN", 0.01)
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(module, "LINGER", 0.005)
    threads = Threads()
    monkeypatch.setattr("trio.to_thread.run_sync", threads)
    given = [record(number) for number in range(1500)]
    with capture_logs():
        async with running(make(sqlite_database, tmp_path)) as writer:
            with locked(sqlite_database) if locks else nullcontext():
                for number, each in enumerate(given):
                    writer.record(each)
                    if number % 10 == 0:
                        await trio.sleep(0.005)
            assert threads.refused > 2
            threads.likely = 0.0
            await until(lambda: not writer.status.waiting and not journals(tmp_path))
    check(sqlite_database, range(1500))
    assert writer.status.dropped == 0


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("broken", ["_gather", "_save", "_store", "_failed", "_step", "_write"])
async def test_an_error_of_ours_in_any_place_loses_and_doubles_nothing(
    sqlite_database: Database,
    tmp_path: Path,
    quick: None,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
    down: bool,
) -> None:
    monkeypatch.setattr(module, "_AGAIN", 0.05)

    failures, began, made = 0, trio.current_time(), 0

    async def fail(*arguments: Any, **options: Any) -> Any:
        nonlocal failures
        # Whatever comes first, and later in the midst of it.
        if failures < 3 and (not failures or trio.current_time() - began > 0.15 * failures):
            failures += 1
            raise RuntimeError("a defect")
        return await real(*arguments, **options)

    with capture_logs() as lines:
        writer = make(sqlite_database, tmp_path)
        real = getattr(writer, broken)
        monkeypatch.setattr(writer, broken, fail)
        async with running(writer):
            with locked(sqlite_database) if down else nullcontext():
                while trio.current_time() - began < 0.6:
                    writer.record(record(made))
                    made += 1
                    await trio.sleep(0.002)
            await until(lambda: not writer.status.waiting and not journals(tmp_path))
            await until(lambda: writer.status.since is None)
    check(sqlite_database, range(made))
    assert writer.status.dropped == 0
    if down or broken not in ("_save", "_failed"):
        assert failures > 0
    if broken == "_gather":
        said = [line for line in lines if line["event"] == "the writer failed and goes on"]
        assert str(said[0]["exc_info"]) == "a defect"


async def test_run_again_it_leaves_what_there_is_alone(
    sqlite_database: Database, tmp_path: Path, quick: None
) -> None:
    writer = make(sqlite_database, tmp_path)
    with locked(sqlite_database):
        for run in range(3):
            async with running(writer):
                for number in range(run * 700, run * 700 + 700):
                    writer.record(record(number))
                await until(lambda: writer.status.since is not None)
        assert len(journals(tmp_path)) == 3
    async with running(writer):
        await until(lambda: not journals(tmp_path))
        writer.record(record(2100))
        await until(lambda: writer.status.written == 2101)
    check(sqlite_database, range(2101))
    assert writer.status.dropped == 0


async def test_nothing_that_goes_wrong_fails_who_records(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_item: object) -> None:
        raise RuntimeError("a defect")

    writer = make(sqlite_database, tmp_path)
    monkeypatch.setattr(writer._waiting, "record", fail)
    monkeypatch.setattr(writer._waiting, "audit", fail)
    with capture_logs() as lines:
        writer.record(record(1))
        writer.audit(event(1))
    assert [line["event"] for line in lines] == ["a record is lost"] * 2
    assert (writer.status.lost, writer.status.dropped) == (2, 2)


class Closed(Database):
    """Not yet known to be one of ours."""

    touched = 0

    async def write(self, work: Callable[[Connection], T], timeout: float = 10.0) -> T:
        self.touched += 1
        return await super().write(work, timeout)


async def test_a_database_that_is_not_known_yet_is_left_alone(
    sqlite_database: Database, tmp_path: Path
) -> None:
    dead = make(sqlite_database, tmp_path)
    dead.record(record(1000))
    dead._backlog.save(dead._waiting.take_all())
    dead._backlog.close()
    database, opened = Closed("sqlite:///gateway.db", tmp_path), trio.Event()
    async with running(make(database, tmp_path, opened=opened)) as writer:
        for number in range(300):
            writer.record(record(number))
            await trio.sleep(0.002)
        await trio.sleep(module.LINGER + 0.1)
        # As safe as with a database that is down, and as soon.
        assert writer.status.journaled == 300
        assert not writer._waiting
        assert "not been opened" in (writer.status.last_error or "")
        assert writer.status.since is not None
        assert database.touched == 0
        opened.set()
        await until(lambda: writer.status.since is None)
        await until(lambda: writer.status.written == 301 and not journals(tmp_path))
        assert writer.status.waiting == 0
    database.close()
    check(sqlite_database, [*range(300), 1000])


async def test_so_it_is_at_the_exit(sqlite_database: Database, tmp_path: Path) -> None:
    database = Closed("sqlite:///gateway.db", tmp_path)
    async with running(make(database, tmp_path, opened=trio.Event())) as writer:
        for number in range(300):
            writer.record(record(number))
        await trio.lowlevel.checkpoint()
    assert (database.touched, writer.status.dropped) == (0, 0)
    database.close()
    async with running(make(sqlite_database, tmp_path)):
        await until(lambda: not journals(tmp_path))
    check(sqlite_database, range(300))


async def test_what_fits_nowhere_is_counted_then(
    sqlite_database: Database, tmp_path: Path, quick: None
) -> None:
    (tmp_path / "journal").write_text("a file")
    database = Closed("sqlite:///gateway.db", tmp_path)
    with capture_logs() as lines:
        writer = make(database, tmp_path, opened=trio.Event(), max_waiting=600)
        async with running(writer):
            for number in range(3000):
                writer.record(record(number))
                if not number % 100:
                    await trio.sleep(0.01)
    # The batch that was to be the first, and the newest.
    status = writer.status
    assert (status.crowded_out + status.lost, database.touched) == (3000, 0)
    assert 600 < status.lost < 1200
    said = [line["event"] for line in lines]
    assert "records are dropped" in said
    assert said[-1] == "records are lost"
    database.close()


async def test_a_database_of_which_nothing_is_wanted_is_known_to_be_there(
    sqlite_database: Database, tmp_path: Path
) -> None:
    opened = trio.Event()
    async with running(make(sqlite_database, tmp_path, opened=opened)) as writer:
        await until(lambda: writer.status.since is not None)
        opened.set()
        await until(lambda: writer.status.since is None)


class Slow(Database):
    """Takes longer than what is waited for before the journal is tried."""

    async def write(self, work: Callable[[Connection], T], timeout: float = 10.0) -> T:
        await trio.sleep(module.CONFIRM * 1.5)
        return await super().write(work, timeout)


async def test_a_slow_database_without_a_journal_takes_what_it_can(
    sqlite_database: Database, tmp_path: Path
) -> None:
    (tmp_path / "journal").write_text("a file")
    database = Slow("sqlite:///gateway.db", tmp_path)
    given = [record(number) for number in range(6000)]
    async with running(make(database, tmp_path, max_waiting=2000)) as writer:
        for number, each in enumerate(given):
            writer.record(each)
            if number % 20 == 0:
                await trio.sleep(0.005)
        await until(lambda: writer.status.written + writer.status.dropped == 6000)
    assert writer.status.dropped == 0
    database.close()
    check(sqlite_database, range(6000))
