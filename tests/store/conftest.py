"""Databases for the tests of the store: one of each kind, migrated and empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.store.engine import migrate
from gateway.store.engine.database import Database

from ..postgres import PostgresServer
from .migrated import migrated_database, write_migrated


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file to copy."""
    return write_migrated(tmp_path_factory.mktemp("migrated"))


@pytest.fixture(scope="session")
def migrated_template(postgres: PostgresServer) -> str:
    """The name of a PostgreSQL database to copy."""
    name = postgres.new_database()
    database = Database(postgres.url(name), Path())
    migrate.upgrade(database)
    database.close()
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of each kind without any table."""
    if request.param == "sqlite":
        database = Database("sqlite:///gateway.db", tmp_path)
        yield database
        database.close()
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    yield from _of_server(server, "template1")


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """A migrated and empty SQLite file, `gateway.db` in `tmp_path`."""
    database = migrated_database(tmp_path)
    yield database
    database.close()


@pytest.fixture
def postgresql_database(postgres: PostgresServer, migrated_template: str) -> Iterator[Database]:
    """A migrated and empty PostgreSQL database."""
    yield from _of_server(postgres, migrated_template)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """A migrated and empty database of each kind."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


def _of_server(server: PostgresServer, template: str) -> Iterator[Database]:
    name = server.new_database(template)
    database = Database(server.url(name), Path())
    yield database
    database.close()
    if not server.is_running():
        server.start()
    server.drop_database(name)
