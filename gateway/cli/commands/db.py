"""`gateway db`: bring the database up to date, see whether it is, and delete what is too old."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from ...config.paths import config_path
from ...config.sources.state import find_state, make_folder
from ...core.records.audit import AuditAction, AuditResult
from ...errors import ConfigError, StoreUnavailable
from ..audit_entry import by_operator
from ..options import ConfigFile
from ..store import lacking, opened
from .check import report

if TYPE_CHECKING:
    from ...store.engine.database import Database


app = App(name="db", help="Upgrade, check and prune the database of [store].")


@app.command
def upgrade(*, config: ConfigFile = None) -> int:
    """Bring the database to the schema of this version, however long it takes.

    Gateways may run meanwhile. Once is enough, whatever the number of machines."""
    from ...store.engine import migrate
    from ...store.writing import chain

    file = config or config_path()

    def work(database: Database) -> int:
        # It may come before the first start.
        make_folder(find_state(file) or file.absolute().parent, file)
        applied = migrate.upgrade(database)
        if applied:
            event = by_operator(
                AuditAction.MIGRATED, AuditResult.OK, database.name, revisions=applied
            )
            database.write_now(lambda connection: chain.append(connection, [event]))
        for revision in applied:
            sys.stdout.write(f"{database.name}: applied revision {revision}\n")
        found = migrate.current(database)
        newer = (
            "" if found == migrate.HEAD else f", of a newer version; this one's is {migrate.HEAD}"
        )
        sys.stdout.write(f"{database.name}: up to date at revision {found}{newer}\n")
        return 0

    return _run(file, work)


@app.command
def current(*, config: ConfigFile = None) -> int:
    """Print the revision that the database is at, and the one of this version."""
    from ...store.engine import migrate

    def work(database: Database) -> int:
        found = migrate.current(database) if database.exists() else None
        where = f"at revision {found}" if found else "not set up yet"
        sys.stdout.write(f"{database.name}: {where}; this version's is {migrate.HEAD}\n")
        return 0

    return _run(config, work)


@app.command
def check(*, config: ConfigFile = None) -> int:
    """Exit with status 0 if the database is up to date, and with 1 if it is not."""
    from ...store.engine import migrate

    def work(database: Database) -> int:
        if (lack := lacking(database)) is not None:
            sys.stdout.write(f"{database.name}: {lack}\n")
            return 1
        found = migrate.current(database)
        newer = (
            "" if found == migrate.HEAD else f", of a newer version; this one's is {migrate.HEAD}"
        )
        sys.stdout.write(f"{database.name}: up to date at revision {found}{newer}\n")
        return 0

    return _run(config, work)


@app.command
def prune(
    *,
    vacuum: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    config: ConfigFile = None,
) -> int:
    """Delete what [retention] does not keep any longer, as running gateways do by themselves.

    Gateways may run meanwhile: it goes in small batches.

    Parameters
    ----------
    vacuum
        Then make the SQLite file as small as it can be. Needs as much room again on the disk,
        and nothing can be written for as long.
    """
    from . import prune

    file = config or config_path()
    return _run(file, lambda database: prune.prune(file, database, vacuum=vacuum), any_schema=False)


def _run(config: Path | None, work: Callable[[Database], int], *, any_schema: bool = True) -> int:
    file = config or config_path()
    try:
        with opened(file, any_schema=any_schema) as database:
            return work(database)
    except ConfigError as exc:
        report(exc)
    except StoreUnavailable as exc:
        sys.stderr.write(f"error: {exc.message}\n")
    return 1
