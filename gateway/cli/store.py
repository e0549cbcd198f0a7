"""The database of `[store]`, for the commands that work with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import load
from ..config.sources.state import find_state
from ..errors import ConfigError, StoreUnavailable

if TYPE_CHECKING:
    from ..store.engine.database import Database


@contextmanager
def opened(file: Path, *, any_schema: bool = False) -> Iterator[Database]:
    """Yield the database of the configuration `file`; unless `any_schema`, one of this version's.

    Nothing else of the file is looked at, so that its other variables need not be set. Raises
    ConfigError, also if there is no database, and StoreUnavailable, which names it.
    """
    # Imported late, as it takes longer than the rest of the command line.
    from ..store.engine.database import Database

    url = load.store(file).url
    if not url:
        raise ConfigError([f'{file}: [store] url: is "": nothing is on record'])
    database = Database(url, find_state(file) or file.absolute().parent)
    try:
        if not any_schema and (lack := lacking(database)) is not None:
            raise ConfigError([f"{database.name}: {lack}"])
        yield database
    except StoreUnavailable as exc:
        raise StoreUnavailable(f"{database.name}: {exc.message}") from exc
    finally:
        database.close()


def lacking(database: Database) -> str | None:
    """Return what keeps it from having this version's schema, and what to do; None if nothing."""
    from ..store.engine import migrate

    if not database.exists():
        return "not set up yet; run `gateway db upgrade`"
    if missing := migrate.check(database):
        return f"not up to date: {', '.join(missing)} missing; run `gateway db upgrade`"
    return None
