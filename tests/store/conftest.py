"""Databases for the tests of the store: one of each kind, migrated and empty."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.store.engine import migrate
from gateway.store.engine.database import Database

from ..emptied import EmptiedDatabases
from ..postgres import PostgresServer
from .migrated import migrated_database, write_migrated


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file to copy."""
    return write_migrated(tmp_path_factory.mktemp("migrated"))


# Several folders have these fixtures, each for itself; a server has them once.
@functools.cache
def _databases_of(server: PostgresServer) -> EmptiedDatabases:
    template = server.new_database()
    database = Database(server.url(template), Path())
    migrate.upgrade(database)
    database.close()
    return EmptiedDatabases(server, template)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of each kind without any table."""
    if request.param == "sqlite":
        database = Database("sqlite:///gateway.db", tmp_path)
        yield database
        database.close()
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.new_database()
    database = Database(server.url(name), Path())
    yield database
    database.close()
    server.drop_database(name)


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """A migrated and empty SQLite file, `gateway.db` in `tmp_path`."""
    database = migrated_database(tmp_path)
    yield database
    database.close()


@pytest.fixture(scope="session")
def postgresql_databases(postgres: PostgresServer) -> Iterator[EmptiedDatabases]:
    """Migrated and empty PostgreSQL databases, to be given back."""
    found = _databases_of(postgres)
    yield found
    found.close()


@pytest.fixture
def postgresql_database(
    postgres: PostgresServer, postgresql_databases: EmptiedDatabases
) -> Iterator[Database]:
    """A migrated and empty PostgreSQL database."""
    name = postgresql_databases.take()
    database = Database(postgres.url(name), Path())
    yield database
    database.close()
    postgresql_databases.give_back(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """A migrated and empty database of each kind."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found
