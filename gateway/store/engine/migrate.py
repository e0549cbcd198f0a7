"""Bring a database to the schema of this code; `migrations/` has the steps and says how to add one.

Alembic is imported only when there is something to do: it takes as long as the rest of the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, inspect, text

from ...errors import ConfigError, StoreUnavailable
from .condensed_table import metadata
from .database import Database
from .newer import obstacles

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import Script

# The revision that `schema.py` describes.
HEAD: Final = "0018"
FOLDER: Final = Path(__file__).parents[1] / "migrations"

_AT_START: Final = 60.0
# Seconds to wait for another process. Less than a start has, so that the error can be shown.
_LOCK_PATIENCE: Final = 45.0
_AT_LEISURE: Final = 24 * 3600.0
# Any number that is always the same and that no other program uses: "llm_gw" in ASCII.
_ADVISORY_LOCK: Final = 0x6C6C6D5F6777
_POLL: Final = 0.05
# An ALTER TABLE that waits for a long query makes all later queries wait behind it.
_LOCK_TIMEOUT: Final = "5s"
_NEWER: Final = "upgrade the gateway, or go back to a database of its own version"


def current(database: Database) -> str | None:
    """Return the revision that the database is at; None if it has none."""
    return database.read_now(revision)


def check(database: Database) -> list[str]:
    """Return the revisions that an upgrade would apply.

    Raises ConfigError if the database is not ours or too new, and StoreUnavailable.
    """
    found = current(database)
    return [] if found == HEAD else [each.revision for each in _pending(database, _scripts())]


def upgrade(database: Database, timeout: float = _AT_LEISURE) -> list[str]:
    """Apply what is missing, however long it takes, and return the revisions applied.

    Each is one transaction, and of several processes one does it. Needs a direct connection to
    PostgreSQL, or a pooler in session mode. Raises ConfigError if the database is not ours or too
    new, and StoreUnavailable.
    """
    database.create()
    if database.dialect == "sqlite":
        return _apply_all(database, timeout)
    return database.autocommit_now(lambda lock: _apply_locked(lock, database, timeout), timeout)


def ensure(database: Database, *, auto_migrate: bool) -> list[str]:
    """Make sure, at the start, that the database has this code's schema.

    Returns the revisions that were missing and have been applied, of a new SQLite file the newest
    only. SQLite is upgraded, PostgreSQL if `auto_migrate`; one of a newer version is used as it is
    if it has all that this code needs. Raises ConfigError if there is more to do than a start
    should, or the database is not ours or too new, and StoreUnavailable.
    """
    database.create()
    found = current(database)
    if found == HEAD:
        return []
    if found is None and database.dialect == "sqlite":
        return database.write_now(lambda connection: _make(connection, database.name), _AT_START)
    pending = _pending(database, _scripts())
    if not pending:
        # Another process was faster, or a newer version was here.
        return []
    names = _listed([each.revision for each in pending])
    if database.dialect == "postgresql" and not auto_migrate:
        raise ConfigError(
            [
                f"[store] url: {database.name} is not up to date, {names} missing:"
                " run `gateway db upgrade`, or set auto_migrate = true"
            ]
        )
    if any(_heavy(each) for each in pending) and database.read_now(_has_requests):
        raise ConfigError(
            [
                f"[store] url: {database.name} is not up to date, {names} missing, and bringing"
                " it up to date may take long: run `gateway db upgrade`"
            ]
        )
    return upgrade(database, _AT_START)


# The database...


def revision(connection: Connection) -> str | None:
    """Return the revision that the database is at; None if it has none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _has_requests(connection: Connection) -> bool:
    if not inspect(connection).has_table("requests"):
        return False
    return connection.scalar(text("SELECT 1 FROM requests LIMIT 1")) is not None


def _refuse_foreign_tables(connection: Connection, name: str) -> None:
    if tables := sorted(metadata.tables.keys() & set(inspect(connection).get_table_names())):
        raise ConfigError(
            [
                f"[store] url: {name} has tables that the gateway did not make"
                f" ({', '.join(tables)}): give it a database of its own"
            ]
        )


def _make(connection: Connection, name: str) -> list[str]:
    """Make the tables of an SQLite file that has none, and return the revision that it is at."""
    from .creation import create

    # The write lock is held only from here on: another process may have been faster.
    if revision(connection) is not None:
        return []
    _refuse_foreign_tables(connection, name)
    create(connection, HEAD)
    return [HEAD]


# The revisions...


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    # It goes through configparser, to which a percent sign means something.
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _heavy(script: Script) -> bool:
    return bool(getattr(script.module, "heavy", False))


def _scripts() -> list[Script]:
    """Return all revisions, the oldest first. Each time it reads all of their files."""
    from alembic.script import ScriptDirectory

    scripts = list(ScriptDirectory.from_config(_config()).walk_revisions())
    scripts.reverse()
    return scripts


def _pending(database: Database, scripts: list[Script]) -> list[Script]:
    return database.read_now(lambda connection: _missing(connection, database.name, scripts))


def _missing(connection: Connection, name: str, scripts: list[Script]) -> list[Script]:
    found = revision(connection)
    if found is None:
        _refuse_foreign_tables(connection, name)
        return scripts
    known = [each.revision for each in scripts]
    if found not in known:
        if not (lacking := obstacles(connection)):
            return []
        raise ConfigError(
            [
                f"[store] url: {name} is at revision {found!r}, which this gateway does not know;"
                f" its own is {known[-1]!r}, and {lacking[0]}: {_NEWER}"
            ]
        )
    return scripts[known.index(found) + 1 :]


# One after the other...


def _apply_locked(lock: Connection, database: Database, timeout: float) -> list[str]:
    # Polled, since CREATE INDEX CONCURRENTLY waits for every statement that began before it, and a
    # statement in pg_advisory_lock would wait for it: a deadlock.
    until = monotonic() + _LOCK_PATIENCE
    asked = text(f"SELECT pg_try_advisory_lock({_ADVISORY_LOCK})")
    while not lock.scalar(asked):
        if monotonic() > until:
            raise StoreUnavailable("the database cannot be used: another process is upgrading it")
        sleep(_POLL)
    # The lock goes with its session, which is not reused.
    return _apply_all(database, timeout)


def _apply_all(database: Database, timeout: float) -> list[str]:
    applied = []
    scripts = _scripts()
    while pending := _pending(database, scripts):
        alone = database.dialect == "postgresql" and _heavy(pending[0])
        run = database.autocommit_now if alone else database.write_now
        done = run(lambda connection: _apply_next(connection, database.name, scripts), timeout)
        if done is None:
            break
        applied.append(done)
    return applied


def _apply_next(connection: Connection, name: str, scripts: list[Script]) -> str | None:
    from alembic import command

    # On SQLite the write lock is held only from here on: another process may have applied some.
    pending = _missing(connection, name, scripts)
    if not pending:
        return None
    if connection.dialect.name == "postgresql":
        if _heavy(pending[0]):
            # Outside of a transaction. The server may have a timeout for all statements.
            connection.execute(text("SET statement_timeout = 0"))
        else:
            connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, pending[0].revision)
    return pending[0].revision


def _listed(names: Sequence[str]) -> str:
    return f"revision{'s' if len(names) > 1 else ''} {', '.join(names)}"
