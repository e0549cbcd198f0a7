"""Every way from a revision to this code's schema, with rows in the tables, on both engines."""

from __future__ import annotations

import multiprocessing
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Final

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, Table, inspect, select, text

from gateway.errors import ConfigError, StoreUnavailable
from gateway.store.engine import migrate
from gateway.store.engine.creation import metadata
from gateway.store.engine.database import Database

from ...postgres import PATIENCE, PostgresServer
from ...rounds import rounds, swept

REVISIONS: Final = sorted(
    path.stem.partition("_")[0]
    for path in (migrate.FOLDER / "versions").glob("*.py")
    if path.stem != "__init__"
)
SHIPPED: Final = migrate.FOLDER
PROCESSES: Final = 8
# A tail of a file of revisions, to be made up by tests.
HEADER: Final = (
    "import sqlalchemy as sa\nfrom alembic import op\n"
    "revision = {revision!r}\ndown_revision = {down!r}\nheavy = {heavy}\n"
)

FolderOf = Callable[..., None]


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FolderOf:
    """Let the code be of another time: `code("0002")`, or with more: `code(HEAD, script, ...)`.

    A script is the body of `upgrade()`, and begins with "heavy:" if it is.
    """

    def be(last: str, *scripts: str) -> None:
        folder = tmp_path / "migrations"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("__pycache__"))
        versions = folder / "versions"
        for path in versions.glob("0*.py"):
            if path.stem.partition("_")[0] > last:
                path.unlink()
        for body in scripts:
            down, last = last, f"{int(last) + 1:04}"
            heavy = body.startswith("heavy:")
            lines = body.removeprefix("heavy:").strip().splitlines()
            head = HEADER.format(revision=last, down=down, heavy=heavy)
            function = "".join(f"    {line}\n" for line in lines)
            (versions / f"{last}.py").write_text(f"{head}def upgrade():\n{function}")
        monkeypatch.setattr(migrate, "FOLDER", folder)
        monkeypatch.setattr(migrate, "HEAD", last)

    return be


def differences(database: Database) -> list[Any]:
    """Return what is different between the database and `schema.py`."""

    def work(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found: list[Any] = compare_metadata(context, metadata)
        return found

    return database.read_now(work)


def value(column: Any, number: int) -> Any:
    text = f"{column.name} {number} é'%"
    kinds = {bool: bool(number % 2), int: number * 500, str: text, bytes: text.encode()}
    return kinds[column.type.python_type]


def tables(connection: Connection) -> dict[str, Table]:
    found = MetaData()
    found.reflect(connection)
    return {name: table for name, table in found.tables.items() if name != "alembic_version"}


def fill(connection: Connection, first: int = 0, into: dict[str, Table] | None = None) -> None:
    """Write three rows into each table, made of `first` and the numbers after it."""
    for table in (into or tables(connection)).values():
        numbers = range(first, first + 3)
        rows = [{column.name: value(column, n) for column in table.c} for n in numbers]
        connection.execute(table.insert(), rows)


Contents = dict[str, list[dict[str, Any]]]


def contents(connection: Connection, of: dict[str, Table] | None = None) -> Contents:
    return {
        name: [
            dict(row._mapping)
            for row in connection.execute(select(table).order_by(*table.primary_key.columns))
        ]
        for name, table in (of or tables(connection)).items()
    }


def assert_kept(before: Contents, after: Contents) -> None:
    """Assert that what there was is there; columns may have come."""
    for name, rows in before.items():
        kept = [{column: row[column] for column in rows[0]} for row in after[name]]
        assert kept == rows, name


def has_table(name: str) -> Callable[[Connection], bool]:
    return lambda connection: inspect(connection).has_table(name)


def one_request(connection: Connection) -> None:
    table = tables(connection)["requests"]
    connection.execute(table.insert().values({c.name: value(c, 1) for c in table.c}))


# From everywhere to here...


def test_there_is_one_line_of_revisions_and_head_is_its_end() -> None:
    scripts = ScriptDirectory.from_config(migrate._config())
    assert scripts.get_heads() == [migrate.HEAD]
    assert [each.revision for each in scripts.walk_revisions()] == REVISIONS[::-1]


def test_an_empty_database(empty_database: Database) -> None:
    assert migrate.upgrade(empty_database) == REVISIONS
    assert migrate.current(empty_database) == migrate.HEAD
    assert differences(empty_database) == []
    assert migrate.check(empty_database) == []
    assert migrate.upgrade(empty_database) == []


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("revision", rounds(REVISIONS[:1], REVISIONS))
def test_each_revision_with_rows_in_it(
    empty_database: Database,
    code: FolderOf,
    revision: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = empty_database
    code(revision)
    migrate.upgrade(database)
    assert migrate.current(database) == revision
    database.write_now(fill, PATIENCE)
    before = database.read_now(contents)
    assert before["requests"]
    monkeypatch.undo()

    missing = REVISIONS[REVISIONS.index(revision) + 1 :]
    if missing:
        assert migrate.current(database) != migrate.HEAD
    assert migrate.check(database) == missing
    assert migrate.upgrade(database) == missing
    assert differences(database) == []
    assert_kept(before, database.read_now(contents))
    database.write_now(lambda connection: connection.execute(metadata.tables["audit"].delete()))


@pytest.mark.slow
def test_one_revision_after_the_other_with_rows_of_each(
    empty_database: Database, code: FolderOf
) -> None:
    database = empty_database
    latest: Contents = {}
    # Of one engine after even ones, of the other after odd ones; after the last in any case.
    looked = swept(len(REVISIONS), begin=database.dialect == "sqlite", every=2)
    for place, revision in enumerate(REVISIONS):
        code(revision)
        assert migrate.upgrade(database) == [revision]
        if place + 1 not in looked:
            continue

        def look(connection: Connection, first: int = 3 * place) -> tuple[Contents, Contents]:
            found = tables(connection)
            kept = contents(connection, found)
            fill(connection, first, found)
            return kept, contents(connection, found)

        kept, following = database.write_now(look, PATIENCE)
        assert_kept(latest, kept)
        assert len(following["requests"]) == 3 * (looked.index(place + 1) + 1)
        latest = following
    assert migrate.current(database) == migrate.HEAD
    assert migrate.check(database) == []
    assert differences(database) == []
    database.write_now(lambda connection: connection.execute(metadata.tables["audit"].delete()))


def test_one_field_more_is_one_revision(database: Database, code: FolderOf) -> None:
    database.write_now(fill, PATIENCE)
    before = database.read_now(contents)["requests"]
    code(migrate.HEAD, 'op.add_column("requests", sa.Column("region", sa.Text()))')
    # Nothing of it takes long, so that it is done at the start.
    migrate.ensure(database, auto_migrate=True)
    after = database.read_now(contents)["requests"]
    assert after == [row | {"region": None} for row in before]


# At the start...


def _shape(database: Database) -> dict[str, Any]:
    """Return what an SQLite file has: tables by their columns, indexes and triggers as SQL."""

    def work(connection: Connection) -> dict[str, Any]:
        asked = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
        found: dict[str, Any] = {}
        for kind, name, sql in connection.exec_driver_sql(asked):
            if kind == "table":
                # In the order of names: revisions add columns at the end. And without defaults,
                # which only columns have that were added to a table with rows: no INSERT omits one.
                columns = connection.exec_driver_sql(f"PRAGMA table_info({name})")
                found[name] = sorted((c.name, c.type, c.notnull, c.pk) for c in columns)
                found[f"{name} without row id"] = "WITHOUT ROWID" in sql
            else:
                found[name] = " ".join(sql.replace('"', "").replace("IS NOT NULL)", "").split())
        return found

    return database.read_now(work)


def test_the_start_makes_an_sqlite_file_as_the_revisions_do(tmp_path: Path) -> None:
    made = Database("sqlite:///new.db", tmp_path)
    assert migrate.ensure(made, auto_migrate=False) == [migrate.HEAD]
    assert migrate.ensure(made, auto_migrate=False) == []
    assert differences(made) == []
    upgraded = Database("sqlite:///old.db", tmp_path)
    migrate.upgrade(upgraded)
    shape = _shape(made)
    assert shape == _shape(upgraded)
    assert {"audit", "audit_append_only", "ix_requests_failed"} <= shape.keys()
    for each in (made, upgraded):
        each.close()


def test_the_start_leaves_postgresql_alone_unless_it_may(
    postgresql_database: Database, code: FolderOf
) -> None:
    database = postgresql_database
    # Up to date, it asks for nothing.
    migrate.ensure(database, auto_migrate=False)
    code(migrate.HEAD, 'op.add_column("requests", sa.Column("region", sa.Text()))')
    with pytest.raises(ConfigError, match="`gateway db upgrade`, or set auto_migrate") as caught:
        migrate.ensure(database, auto_migrate=False)
    assert database.name in str(caught.value)
    migrate.ensure(database, auto_migrate=True)
    assert migrate.current(database) == migrate.HEAD


@pytest.mark.slow
@pytest.mark.parametrize("new", [False, True])
def test_a_start_with_sqlite_imports_neither_alembic_nor_trio(
    migrated_file: Path, tmp_path: Path, new: bool
) -> None:
    if not new:
        shutil.copy(migrated_file, tmp_path)
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from gateway.store.engine import migrate\n"
        "from gateway.store.engine.database import Database\n"
        "migrate.ensure(Database('sqlite:///gateway.db', Path(sys.argv[1])), auto_migrate=False)\n"
        "print(sorted({'alembic', 'trio', 'psycopg'} & set(sys.modules)))"
    )
    found = subprocess.run(  # noqa: S603  # ours
        [sys.executable, "-c", script, tmp_path],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert found.stdout == "[]\n"


def _ensure_in_process(url: str, base: Path, together: Barrier) -> None:
    database = Database(url, base)
    together.wait(30)
    migrate.ensure(database, auto_migrate=True)
    assert migrate.current(database) == migrate.HEAD
    database.close()


@pytest.mark.slow
def test_many_processes_start_at_once(
    request: pytest.FixtureRequest, empty_database: Database, tmp_path: Path
) -> None:
    url = "sqlite:///gateway.db"
    if empty_database.dialect == "postgresql":
        name = empty_database.name.rpartition("/")[2]
        url = request.getfixturevalue("postgres").url(name)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gateway.store.engine.migrate", "alembic.command", "psycopg"])
    together = context.Barrier(PROCESSES)
    processes = [
        context.Process(target=_ensure_in_process, args=(url, tmp_path, together))
        for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(40)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    assert differences(empty_database) == []
    rows = empty_database.read_now(
        lambda connection: connection.execute(text("SELECT * FROM alembic_version")).all()
    )
    assert [tuple(row) for row in rows] == [(migrate.HEAD,)]


# What takes long...

HEAVY: Final = """heavy:
op.create_index("ix_requests_heavy", "requests", ["user"], postgresql_concurrently=True)
"""


def test_no_start_does_what_takes_long_unless_there_are_no_requests(
    database: Database, code: FolderOf
) -> None:
    light = 'op.add_column("requests", sa.Column("region", sa.Text()))'
    code(migrate.HEAD, light, HEAVY)
    database.write_now(one_request)
    with pytest.raises(ConfigError, match="may take long: run `gateway db upgrade`"):
        migrate.ensure(database, auto_migrate=True)
    # Not half of it either: the code runs on its own schema only.
    assert migrate.current(database) == REVISIONS[-1]
    database.write_now(lambda connection: connection.execute(text("DELETE FROM requests")))
    migrate.ensure(database, auto_migrate=True)
    assert migrate.current(database) == migrate.HEAD


def test_what_takes_long_is_done_when_asked_for(database: Database, code: FolderOf) -> None:
    database.write_now(one_request)
    code(migrate.HEAD, HEAVY)
    assert migrate.upgrade(database) == [migrate.HEAD]
    found = database.read_now(lambda connection: inspect(connection).get_indexes("requests"))
    assert "ix_requests_heavy" in [index["name"] for index in found]


def test_requests_go_on_while_postgresql_builds_an_index(
    postgresql_database: Database, code: FolderOf
) -> None:
    database = postgresql_database
    # It waits for this writer, as an ordinary CREATE INDEX would; but lets others write.
    code(migrate.HEAD, HEAVY)
    applied: list[str] = []
    upgrade = threading.Thread(target=lambda: applied.extend(migrate.upgrade(database)))

    def write(connection: Connection) -> None:
        one_request(connection)
        upgrade.start()
        until = time.monotonic() + 10
        active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONC%'"
        while not database.read_now(lambda other: other.scalar(text(active))):
            assert time.monotonic() < until
            time.sleep(0.02)
        database.write_now(
            lambda other: other.execute(text("UPDATE requests SET status = 1")), timeout=2
        )

    database.write_now(write)
    upgrade.join(20)
    assert applied == [migrate.HEAD]


def test_an_index_that_was_interrupted_is_made_anew(
    empty_database: Database, code: FolderOf
) -> None:
    database = empty_database
    code("0002")
    migrate.upgrade(database)
    database.write_now(
        lambda connection: connection.execute(
            text("CREATE INDEX ix_requests_failed ON requests (status)")
        )
    )
    code("0003")
    assert migrate.upgrade(database) == ["0003"]
    found = database.read_now(lambda connection: inspect(connection).get_indexes("requests"))
    columns = {index["name"]: index["column_names"] for index in found}
    assert columns["ix_requests_failed"] == ["id"]


# What is refused...


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("DROP TABLE kept_objects", "there is no table kept_objects"),
        ("ALTER TABLE requests RENAME COLUMN model TO served", "there is no requests.model"),
    ],
)
def test_a_newer_schema_that_lacks_something(database: Database, statement: str, why: str) -> None:
    database.write_now(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    # What only adds is used as it is.
    database.write_now(lambda c: c.execute(text("ALTER TABLE requests ADD COLUMN tomorrow TEXT")))
    assert migrate.ensure(database, auto_migrate=True) == []
    assert migrate.check(database) == migrate.upgrade(database) == []
    database.write_now(lambda c: c.execute(text(statement)))
    message = rf"'9999', which this gateway does not know; its own is '{migrate.HEAD}', and {why}"
    refusals: list[Callable[[], object]] = [
        lambda: migrate.ensure(database, auto_migrate=True),
        lambda: migrate.upgrade(database),
        lambda: migrate.check(database),
    ]
    for refuse in refusals:
        with pytest.raises(ConfigError, match=message):
            refuse()
    assert migrate.current(database) == "9999"


def test_tables_of_another_program(empty_database: Database) -> None:
    database = empty_database
    database.create()
    database.write_now(lambda c: c.execute(text("CREATE TABLE requests (mine INTEGER)")))
    refusals: list[Callable[[], object]] = [
        lambda: migrate.ensure(database, auto_migrate=True),
        lambda: migrate.upgrade(database),
        lambda: migrate.check(database),
    ]
    for refuse in refusals:
        with pytest.raises(ConfigError, match=r"did not make \(requests\): give it a database"):
            refuse()
    assert not database.read_now(has_table("alembic_version"))


def test_a_role_that_may_not_make_tables(
    postgres: PostgresServer, postgresql_database: Database
) -> None:
    name = postgres.new_database()
    postgres.execute("CREATE ROLE guest LOGIN")
    guest = Database(postgres.url(name).replace("postgres@", "guest@"), Path())
    # Since PostgreSQL 15, in every database of another owner.
    with pytest.raises(StoreUnavailable, match="permission denied for schema public"):
        migrate.ensure(guest, auto_migrate=True)
    guest.close()
    postgres.drop_database(name)
    postgres.execute("DROP ROLE guest")


def test_tables_of_other_names_are_no_concern_of_ours(empty_database: Database) -> None:
    database = empty_database
    database.create()
    database.write_now(lambda c: c.execute(text("CREATE TABLE theirs (n INTEGER)")))
    assert migrate.upgrade(database) == REVISIONS


# What goes wrong...


def test_a_revision_that_fails_leaves_nothing(database: Database, code: FolderOf) -> None:
    code(
        migrate.HEAD,
        'op.create_table("good", sa.Column("n", sa.Integer))',
        'op.create_table("half", sa.Column("n", sa.Integer))\nraise KeyError("on purpose")',
    )
    with pytest.raises(KeyError, match="on purpose"):
        migrate.upgrade(database)
    # Each is a transaction of its own.
    assert database.read_now(has_table("good"))
    assert not database.read_now(has_table("half"))
    assert migrate.current(database) == f"{int(REVISIONS[-1]) + 1:04}"
    assert database.connections_in_use == 0


def test_an_upgrade_that_another_process_never_ends(
    postgresql_database: Database, code: FolderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = postgresql_database
    code(migrate.HEAD, 'op.add_column("requests", sa.Column("region", sa.Text()))')
    monkeypatch.setattr(migrate, "_LOCK_PATIENCE", 0.3)

    def meanwhile(connection: Connection) -> None:
        connection.execute(text(f"SELECT pg_advisory_lock({migrate._ADVISORY_LOCK})"))
        with pytest.raises(StoreUnavailable, match="another process is upgrading it"):
            migrate.ensure(database, auto_migrate=True)

    database.autocommit_now(meanwhile)
    # The lock went with its session.
    migrate.ensure(database, auto_migrate=True)


def test_a_long_query_does_not_let_others_queue_behind_an_upgrade(
    postgresql_database: Database, code: FolderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = postgresql_database
    code(migrate.HEAD, 'op.add_column("requests", sa.Column("region", sa.Text()))')
    monkeypatch.setattr(migrate, "_LOCK_TIMEOUT", "200ms")

    def query(connection: Connection) -> None:
        connection.execute(text("SELECT * FROM requests")).all()
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            migrate.ensure(database, auto_migrate=True)

    database.read_now(query)
    migrate.ensure(database, auto_migrate=True)


def test_revisions_import_nothing_of_the_gateway() -> None:
    for path in (migrate.FOLDER / "versions").glob("0*.py"):
        assert not re.search(r"^\s*(from|import) +(\.|gateway)", path.read_text(), re.MULTILINE)
