"""Databases with requests in them; SQLite files are copied from one that has been filled before."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Final

from gateway.store.engine.database import Database

from .filling import fill
from .migrated import is_untouched, migrated_database

# Of more rows there is one database for a whole file of tests.
_KEPT: Final = 5_000
_SECONDS: Final = 60.0


def fill_database(database: Database, rows: int, *, end: int, days: int = 1) -> None:
    """Do what `fill` does, in a transaction of its own or by a copy of its outcome."""
    file = database.file
    if file is not None and rows <= _KEPT and is_untouched(file):
        file.write_bytes(_content(rows, end, days))
    else:
        database.write_now(lambda connection: fill(connection, rows, end=end, days=days), _SECONDS)


@lru_cache(maxsize=8)
def _content(rows: int, end: int, days: int) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        database = migrated_database(Path(name))
        database.write_now(lambda connection: fill(connection, rows, end=end, days=days), _SECONDS)
        database.close()
        return (Path(name) / "gateway.db").read_bytes()
