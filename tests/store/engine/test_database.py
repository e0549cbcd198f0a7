"""Transactions in both engines: what they promise, and what is left of one that was given up."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil
import pytest
import trio
from sqlalchemy import Connection, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from gateway.errors import ConfigError, StoreUnavailable
from gateway.store.engine import migrate
from gateway.store.engine.database import READERS, Database
from gateway.store.engine.schema import jobs

from ...postgres import PostgresServer

# Statements that go on for minutes.
ENDLESS: Final = {
    "sqlite": (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000000000)"
        " SELECT count(*) FROM n"
    ),
    "postgresql": "SELECT pg_sleep(300)",
}


def add(name: str) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        connection.execute(insert(jobs).values(name=name, due=0))

    return work


def names(connection: Connection) -> list[str]:
    return list(connection.scalars(select(jobs.c.name).order_by(jobs.c.name)))


def endless(connection: Connection) -> None:
    connection.execute(text(ENDLESS[connection.dialect.name]))


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110  # threads and other processes tell no Event
            await trio.sleep(0.01)


async def assert_nothing_left(database: Database, server: PostgresServer | None = None) -> None:
    await until(lambda: database.busy == 0 and database.connections_in_use == 0)
    if server is not None and database.dialect == "postgresql":
        await until(lambda: all(state == "idle" for state, _ in sessions(database, server)))
    with at_most(4):
        await database.write(add("afterwards"))
    assert "afterwards" in await database.read(names)
    await database.write(lambda connection: connection.execute(jobs.delete()))


def sessions(database: Database, server: PostgresServer) -> list[tuple[object, ...]]:
    return server.sessions(database.name.rpartition("/")[2])


# URLs...


@pytest.mark.parametrize(
    ("url", "dialect", "name"),
    [
        ("sqlite:///gateway.db", "sqlite", "sqlite:////etc/gateway/gateway.db"),
        ("sqlite:///data/a b.db", "sqlite", "sqlite:////etc/gateway/data/a b.db"),
        ("sqlite:////var/x.db", "sqlite", "sqlite:////var/x.db"),
        ("postgresql://u@h/d", "postgresql", "postgresql://u@h/d"),
        ("postgres://u:secret@h:1/d", "postgresql", "postgresql://u@h:1/d"),
        ("postgresql+psycopg://u:secret@h/d", "postgresql", "postgresql://u@h/d"),
        ("postgresql://h/d?user=u&password=secret", "postgresql", "postgresql://h/d"),
    ],
)
def test_urls(url: str, dialect: str, name: str) -> None:
    database = Database(url, Path("/etc/gateway"))
    assert (database.dialect, database.name) == (dialect, name)
    assert "secret" not in repr(database)


@pytest.mark.parametrize(
    "url",
    [
        *("", "gateway.db", "mysql://h/d", "postgresql+asyncpg://h/d", "sqlite+aiosqlite:///x"),
        *("sqlite://", "sqlite:///:memory:", "sqlite:///x.db?mode=ro", "sqlite://host/x.db"),
        "postgresql://h:port/d",
    ],
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^\[store\] url: .*sqlite:///"):
        Database(url, Path())


def test_a_missing_driver_is_named_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"needs a driver .*(psycopg|postgres)"):
        Database("postgresql://h/d", Path())


# Transactions...


def test_what_is_written_is_committed_and_what_fails_is_rolled_back(database: Database) -> None:
    database.write_now(add("kept"))

    def fail(connection: Connection) -> None:
        add("lost")(connection)
        raise KeyError("of the caller's own")

    with pytest.raises(KeyError):
        database.write_now(fail)
    assert database.read_now(names) == ["kept"]
    assert database.connections_in_use == 0


def test_constraints_and_mistakes_are_raised_as_they_are(database: Database) -> None:
    database.write_now(add("a"))
    with pytest.raises(IntegrityError) as caught:
        database.write_now(add("a"))
    # The message must not show what was to be written.
    assert "parameters hidden" in str(caught.value)
    with pytest.raises((OperationalError, ProgrammingError), match="nonsense"):
        database.read_now(lambda connection: connection.execute(text("SELECT nonsense")))


def test_a_savepoint_is_the_works_own(database: Database) -> None:
    def work(connection: Connection) -> None:
        add("a")(connection)
        with pytest.raises(IntegrityError), connection.begin_nested():
            add("a")(connection)
        add("b")(connection)

    database.write_now(work)
    assert database.read_now(names) == ["a", "b"]


def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises(StoreUnavailable, match=r"read-?only"):
        database.read_now(add("a"))
    assert database.read_now(names) == []


def test_a_reader_sees_one_moment_and_does_not_hold_up_a_writer(database: Database) -> None:
    database.write_now(add("a"))

    def work(connection: Connection) -> None:
        assert names(connection) == ["a"]
        with at_most(3):
            database.write_now(add("b"))
        assert names(connection) == ["a"]

    database.read_now(work)
    assert database.read_now(names) == ["a", "b"]


def test_a_writer_does_not_hold_up_readers(database: Database) -> None:
    def work(connection: Connection) -> None:
        add("a")(connection)
        with at_most(3):
            assert database.read_now(names) == []

    database.write_now(work)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["read_now", "write_now"])
def test_a_long_statement_ends_in_time(database: Database, kind: str) -> None:
    with at_most(5), pytest.raises(StoreUnavailable, match=r"timeout|longer than 0.3 s"):
        getattr(database, kind)(endless, timeout=0.3)
    assert database.read_now(names) == []


def test_many_short_statements_end_in_time(database: Database) -> None:
    def work(connection: Connection) -> None:
        while True:
            names(connection)

    with at_most(5), pytest.raises(StoreUnavailable, match=r"longer than 0.2 s"):
        database.read_now(work, timeout=0.2)


def test_a_closed_database_is_unavailable(database: Database) -> None:
    def work(connection: Connection) -> list[str]:
        database.close()
        return names(connection)

    assert database.read_now(work) == []
    database.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        database.read_now(names)
    assert "closed" in repr(database)


# From Trio...


async def test_reads_run_side_by_side_and_writes_one_by_one(database: Database) -> None:
    together = threading.Barrier(READERS)
    writing = 0
    most = 0

    def meet(_: Connection) -> None:
        together.wait(5)

    def write(connection: Connection) -> None:
        nonlocal writing, most
        writing += 1
        most = max(most, writing)
        add(f"{time.monotonic_ns()}")(connection)
        time.sleep(0.01)
        writing -= 1

    async with trio.open_nursery() as nursery:
        for _ in range(READERS):
            nursery.start_soon(database.read, meet)
        for _ in range(5):
            nursery.start_soon(database.write, write)
    assert most == 1
    assert len(await database.read(names)) == 5


@pytest.mark.parametrize("kind", ["read", "write"])
async def test_a_cancelled_statement_is_interrupted(
    database: Database, postgres: PostgresServer, kind: str
) -> None:
    with at_most(3), trio.move_on_after(0.2) as scope:
        await getattr(database, kind)(endless, timeout=100)
    assert scope.cancelled_caught
    # And not for a hundred seconds more.
    await until(lambda: database.busy == 0, seconds=2)
    await assert_nothing_left(database, postgres)


@pytest.mark.slow
async def test_what_is_too_late_is_unavailable(
    database: Database, postgres: PostgresServer
) -> None:
    began, release = threading.Event(), threading.Event()

    def work(_: Connection) -> None:
        began.set()
        # In a thread, a sleep is one of the things that nothing interrupts.
        release.wait(20)

    # On a busy machine it may be too late before it has a connection.
    while not began.is_set():
        await until(lambda: database.busy == 0)
        with at_most(4), pytest.raises(StoreUnavailable, match=r"longer than 0.1 s"):
            await database.write(work, timeout=0.1)
        await until(lambda: began.is_set() or database.busy == 0)
    # Its thread is still at work, and counted.
    assert database.busy == 1
    with at_most(4), pytest.raises(StoreUnavailable):
        await database.write(add("a"), timeout=0.1)
    assert database.busy == 1
    release.set()
    await assert_nothing_left(database, postgres)


async def test_cancelled_while_it_waits_for_a_thread(
    database: Database, postgres: PostgresServer
) -> None:
    release = threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(database.write, lambda _: release.wait(10))
        await until(lambda: database.busy == 1)
        with trio.move_on_after(0.05) as scope:
            await database.write(add("never"))
        release.set()
    assert scope.cancelled_caught
    assert await database.read(names) == []
    await assert_nothing_left(database, postgres)


async def test_cancelled_at_any_moment_nothing_is_left(
    database: Database, postgres: PostgresServer
) -> None:
    def work(connection: Connection) -> None:
        for number in range(20):
            add(f"{moment}-{number}")(connection)

    threads = 0
    descriptors = psutil.Process().num_fds()
    for moment in range(40):
        with trio.move_on_after(0.0002 * 1.17**moment):
            await database.write(work)
        with trio.move_on_after(0.0001 * 1.17**moment):
            await database.read(names)
        if moment == 10:
            threads = threading.active_count()
    # One that is not cancelled, since a busy machine is too late for all the others.
    moment = 40
    await database.write(work)
    await until(lambda: database.busy == 0)
    written = await database.read(names)
    by_moment = [name.partition("-")[0] for name in written]
    # All rows of a moment, or none.
    assert {by_moment.count(moment) for moment in by_moment} == {20}
    # Idle threads are kept for a while.
    assert threading.active_count() <= threads + 4
    await assert_nothing_left(database, postgres)
    database.close()
    assert psutil.Process().num_fds() == descriptors


async def test_many_cancelled_at_once(database: Database, postgres: PostgresServer) -> None:
    with trio.move_on_after(0.3):
        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(database.read, endless)
                nursery.start_soon(database.write, add(f"{number}"))
                nursery.start_soon(database.write, endless)
    await assert_nothing_left(database, postgres)


def test_trio_may_end_before_the_thread_does(database: Database) -> None:
    async def main() -> None:
        with trio.move_on_after(0.1):
            await database.read(endless)

    trio.run(main)
    until_free = time.monotonic() + 5
    while database.connections_in_use and time.monotonic() < until_free:
        time.sleep(0.01)
    assert database.connections_in_use == 0
    assert database.read_now(names) == []


# PostgreSQL comes and goes...


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_a_restarted_server_is_not_noticed(
    postgresql_database: Database, postgres: PostgresServer, how: str
) -> None:
    database = postgresql_database
    async with trio.open_nursery() as nursery:
        for _ in range(READERS):
            nursery.start_soon(database.read, lambda c: c.execute(text("SELECT pg_sleep(0.1)")))
    await database.write(add("a"))
    await trio.to_thread.run_sync(getattr(postgres, how))
    await trio.to_thread.run_sync(postgres.start)
    for _ in range(READERS + 1):
        assert await database.read(names) == ["a"]
    await database.write(add("b"))
    await assert_nothing_left(database, postgres)


async def test_a_server_that_is_down_is_unavailable_until_it_is_up(
    postgresql_database: Database, postgres: PostgresServer
) -> None:
    database = postgresql_database
    await database.write(add("a"))
    await trio.to_thread.run_sync(postgres.kill)
    try:
        for _ in range(3):
            with at_most(4), pytest.raises(StoreUnavailable, match="cannot be used: "):
                await database.write(add("b"))
    finally:
        await trio.to_thread.run_sync(postgres.start)
    assert await database.read(names) == ["a"]
    await assert_nothing_left(database, postgres)


async def test_a_server_killed_in_a_statement_is_unavailable(
    postgresql_database: Database, postgres: PostgresServer
) -> None:
    database = postgresql_database

    async def outlived() -> None:
        with pytest.raises(StoreUnavailable):
            await database.write(endless)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlived)
        await until(lambda: any(state == "active" for state, _ in sessions(database, postgres)))
        await trio.to_thread.run_sync(postgres.restart)
    await assert_nothing_left(database, postgres)


@pytest.mark.slow
async def test_a_server_that_hangs_takes_no_thread_with_it(
    postgresql_database: Database, postgres: PostgresServer
) -> None:
    database = postgresql_database
    await database.write(add("a"))
    await database.read(names)
    postgres.freeze()
    try:
        for work in (database.read, database.write):
            with at_most(5), pytest.raises(StoreUnavailable, match=r"longer than 0.2 s"):
                await work(names, timeout=0.2)
        await until(lambda: database.busy == 0 and database.connections_in_use == 0, seconds=2)
    finally:
        postgres.thaw()
    assert await database.read(names) == ["a"]
    await assert_nothing_left(database, postgres)


# SQLite's file...


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock from another process."""
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(  # noqa: S603  # ours
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.stdin.close()


async def test_a_locked_file_is_unavailable_in_time(
    sqlite_database: Database, tmp_path: Path
) -> None:
    database = sqlite_database
    with locked(tmp_path / "gateway.db"):
        with at_most(4), pytest.raises(StoreUnavailable, match="database is locked"):
            database.write_now(add("a"), timeout=0.3)
        with at_most(4), pytest.raises(StoreUnavailable, match="database is locked"):
            await database.write(add("a"), timeout=0.3)
        # Cancelled, it waits no longer.
        with trio.move_on_after(0.1):
            await database.write(add("a"), timeout=100)
        await until(lambda: database.busy == 0, seconds=4)
        # Readers take no notice.
        with at_most(4):
            assert await database.read(names) == []
    await assert_nothing_left(database)


async def test_a_lock_is_waited_for(sqlite_database: Database, tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        with locked(tmp_path / "gateway.db"):
            nursery.start_soon(sqlite_database.write, add("a"))
            await trio.sleep(0.3)
    assert await sqlite_database.read(names) == ["a"]


def test_the_file_is_private_and_in_wal_mode(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        database = Database("sqlite:///gateway.db", tmp_path)
        migrate.upgrade(database)
        database.write_now(add("a"))
        found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        assert found == dict.fromkeys(("gateway.db", "gateway.db-wal", "gateway.db-shm"), 0o600)
        for read in (database.read_now, database.write_now):
            assert read(lambda c: c.scalar(text("PRAGMA journal_mode"))) == "wal"
        assert database.write_now(lambda c: c.scalar(text("PRAGMA synchronous"))) == 1
        database.close()
    finally:
        os.umask(previous)
    # All is in the one file.
    assert [path.name for path in tmp_path.iterdir()] == ["gateway.db"]


def test_a_file_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").touch(0o640)
    (tmp_path / "gateway.db").chmod(0o640)
    database = Database("sqlite:///gateway.db", tmp_path)
    migrate.upgrade(database)
    database.close()
    assert stat.S_IMODE((tmp_path / "gateway.db").stat().st_mode) == 0o640


def test_a_strange_path(tmp_path: Path) -> None:
    folder = tmp_path / "a ?%41#é"
    folder.mkdir()
    database = Database("sqlite:///x.db", folder)
    migrate.upgrade(database)
    database.close()
    assert (folder / "x.db").stat().st_size > 0


def test_a_file_that_was_moved_away_is_not_made_anew(
    sqlite_database: Database, tmp_path: Path
) -> None:
    (tmp_path / "gateway.db").rename(tmp_path / "backup.db")
    with pytest.raises(StoreUnavailable, match="unable to open database file"):
        sqlite_database.write_now(add("a"))
    assert not (tmp_path / "gateway.db").exists()


def test_a_corrupt_file(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").write_bytes(b"not a database, but long enough to be one" * 100)
    database = Database("sqlite:///gateway.db", tmp_path)
    for work in (database.read_now, database.write_now):
        with pytest.raises(StoreUnavailable, match="file is not a database"):
            work(names)
    with pytest.raises(StoreUnavailable, match="file is not a database"):
        migrate.ensure(database, auto_migrate=False)
    database.close()


def test_a_directory_instead_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").mkdir()
    with pytest.raises(ConfigError, match=r"\[store\] url: .*gateway\.db is a directory"):
        migrate.ensure(Database("sqlite:///gateway.db", tmp_path), auto_migrate=False)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.db cannot be made: No such file"):
        migrate.ensure(Database("sqlite:///no/gateway.db", tmp_path), auto_migrate=False)


@contextmanager
def read_only_user(folder: Path) -> Iterator[None]:
    """Run as a user who may enter `folder`, but not write to it."""
    for each in (folder, *folder.parents[:3]):
        if each.owner() != "root" or each == Path("/tmp"):  # noqa: S108
            break
        each.chmod(0o755)
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)


def test_a_folder_that_may_not_be_written_to(tmp_path: Path) -> None:
    with read_only_user(tmp_path), pytest.raises(ConfigError, match="Permission denied"):
        migrate.ensure(Database("sqlite:///gateway.db", tmp_path), auto_migrate=False)


def test_a_file_that_may_not_be_written_to(sqlite_database: Database, tmp_path: Path) -> None:
    (tmp_path / "gateway.db").chmod(0o444)
    with read_only_user(tmp_path), pytest.raises(StoreUnavailable, match="readonly database"):
        sqlite_database.write_now(add("a"))


def test_a_full_disk(sqlite_database: Database) -> None:
    def fill(connection: Connection) -> None:
        pages = connection.scalar(text("PRAGMA page_count"))
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))
        for number in range(10_000):
            add(f"{number:0100}")(connection)

    with pytest.raises(StoreUnavailable, match="database or disk is full"):
        sqlite_database.write_now(fill)
    assert sqlite_database.read_now(names) == []


def test_the_busy_timeout_is_back_to_a_slice_for_the_next_writer(
    sqlite_database: Database, tmp_path: Path
) -> None:
    # A long transaction sets a long timeout, in which a later one could not be cancelled.
    sqlite_database.write_now(add("a"), timeout=60)
    with locked(tmp_path / "gateway.db"), at_most(4), pytest.raises(StoreUnavailable):
        sqlite_database.write_now(add("b"), timeout=0.2)


def test_a_lock_left_by_a_killed_process_is_none(tmp_path: Path, migrated_file: Path) -> None:
    path = tmp_path / "gateway.db"
    path.write_bytes(migrated_file.read_bytes())
    script = (
        "import sqlite3, sys, os, signal; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('BEGIN IMMEDIATE'); c.execute(\"INSERT INTO jobs VALUES ('x', 1)\");"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, path], check=False)  # noqa: S603  # ours
    database = Database("sqlite:///gateway.db", tmp_path)
    database.write_now(add("a"))
    assert database.read_now(names) == ["a"]
    database.close()
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_the_audit_log_is_append_only(database: Database) -> None:
    from gateway.store.engine.schema import audit

    row = dict.fromkeys((column.name for column in audit.c if not column.nullable), "")
    database.write_now(lambda c: c.execute(insert(audit).values(row | {"id": 1, "time": 1})))
    with pytest.raises(IntegrityError, match="append-only"):
        database.write_now(lambda c: c.execute(update(audit).values(action="another")))
    assert database.read_now(lambda c: c.scalar(select(audit.c.action))) == ""
    # Retention takes rows out when their time has come.
    database.write_now(lambda c: c.execute(audit.delete()))
    assert database.read_now(lambda c: c.scalar(select(func.count()).select_from(audit))) == 0


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_was_deleted_is_not_written_on(
    sqlite_database: Database, tmp_path: Path, replaced: bool
) -> None:
    path = Path(sqlite_database.name.removeprefix("sqlite:///"))
    before = await trio.Path(path).read_bytes()

    def write(connection: Connection) -> None:
        connection.execute(text("INSERT INTO jobs (name, due) VALUES ('x', 1)"))

    def count(connection: Connection) -> int:
        return int(connection.execute(text("SELECT count(*) FROM jobs")).scalar_one())

    await sqlite_database.write(write)
    assert await sqlite_database.read(count) == 1
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    if replaced:
        await trio.Path(path).write_bytes(before)
        assert await sqlite_database.read(count) == 0
        await sqlite_database.write(write)
        assert await sqlite_database.read(count) == 1
        return
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="unable to open"):
            await sqlite_database.write(write)
        with pytest.raises(StoreUnavailable, match="unable to open"):
            await sqlite_database.read(count)
    assert not os.path.lexists(path)  # noqa: ASYNC240


async def test_a_database_that_is_barred_is_not_touched(sqlite_database: Database) -> None:
    sqlite_database.barred = "it is another program's"
    for use in (sqlite_database.read, sqlite_database.write):
        with pytest.raises(StoreUnavailable, match="another program's"):
            await use(lambda connection: connection.execute(text("SELECT 1")).scalar_one())
    # What makes it ours goes on.
    assert sqlite_database.read_now(lambda c: c.execute(text("SELECT 1")).scalar_one()) == 1
    sqlite_database.barred = None
    assert await sqlite_database.read(lambda c: c.execute(text("SELECT 1")).scalar_one()) == 1
