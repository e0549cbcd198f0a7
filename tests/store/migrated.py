"""SQLite files with all tables and no row, copied from one: quicker than to migrate each."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from gateway.store.engine import migrate
from gateway.store.engine.database import Database


def write_migrated(folder: Path) -> Path:
    """Write `gateway.db` into `folder`, as the gateway leaves it behind, and return it."""
    path = folder / "gateway.db"
    path.touch(0o600)
    path.write_bytes(_content())
    return path


def migrated_database(folder: Path) -> Database:
    """Return `gateway.db` in `folder`, migrated and empty."""
    write_migrated(folder)
    return Database("sqlite:///gateway.db", folder)


def is_untouched(path: Path) -> bool:
    """Say whether a file is as `write_migrated` wrote it, and nobody has it open."""
    # Who opens it makes a WAL beside it, which goes with the last who has it open.
    return not path.with_name(f"{path.name}-wal").exists() and path.read_bytes() == _content()


@cache
def _content() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        database = Database("sqlite:///gateway.db", Path(name))
        # As a start makes it, which needs no Alembic; that revisions make the same is tested.
        migrate.ensure(database, auto_migrate=False)
        database.close()
        return (Path(name) / "gateway.db").read_bytes()
