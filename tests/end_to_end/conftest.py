"""What several of these tests ask for by name."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..emptied import EmptiedDatabases
from ..postgres import PostgresServer
from ..store.conftest import postgresql_databases
from ..store.migrated import write_migrated
from .store import Kept, kept

__all__ = ["postgresql_databases"]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Write a configuration into a folder of its own; return the file."""

    def write(text: str) -> Path:
        file = tmp_path / "config.toml"
        file.write_text(text)
        return file

    return write


@pytest.fixture
def refused_port() -> Iterator[int]:
    """Keep a port that nobody listens on and nobody else can get."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Kept]:
    """What a gateway keeps by default, in `gateway.db` beside its configuration."""
    write_migrated(tmp_path)
    with kept("sqlite:///gateway.db", tmp_path) as found:
        yield found


@pytest.fixture
def on_postgresql(
    postgres: PostgresServer, postgresql_databases: EmptiedDatabases, tmp_path: Path
) -> Iterator[Kept]:
    name = postgresql_databases.take()
    with kept(postgres.url(name), tmp_path) as found:
        yield found
    postgresql_databases.give_back(name)


@pytest.fixture
def on_fresh_postgresql(postgres: PostgresServer, tmp_path: Path) -> Iterator[Kept]:
    """A database without any table: the gateway makes them at its start."""
    name = postgres.new_database()
    with kept(postgres.url(name), tmp_path) as found:
        yield found
    if not postgres.is_running():
        postgres.start()
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def on_record(request: pytest.FixtureRequest) -> Kept:
    """What a gateway keeps, in a database of each kind; its file is to say `on_record.store`."""
    found: Kept = request.getfixturevalue(f"on_{request.param}")
    return found
