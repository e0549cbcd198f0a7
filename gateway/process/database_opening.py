"""The database at the start: brought up to date, or asked again until it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog
import trio

from ..errors import ConfigError, StoreUnavailable

if TYPE_CHECKING:
    from ..store.engine.database import Database

_NOT_YET: Final = "the database has not been opened yet"
# A database that is down at the start is asked again, with growing waits, until it is there.
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 15.0
# Seconds that the first request waits for it.
_TIMEOUT: Final = 10.0

_log = structlog.get_logger(__name__)


class DatabaseOpening:
    """`opened` is set when the database is known to be one that this gateway can use.

    `upgraded` is told which revisions have been applied to it.
    """

    def __init__(
        self, database: Database, *, auto_migrate: bool, upgraded: Callable[[list[str]], None]
    ) -> None:
        self.opened: Final = trio.Event()
        self._database = database
        self._auto_migrate = auto_migrate
        self._upgraded = upgraded
        # What was last said about a database that cannot be used.
        self._trouble = ""
        database.barred = _NOT_YET

    def __repr__(self) -> str:
        state = "done" if self.opened.is_set() else self._trouble or "under way"
        return f"<DatabaseOpening of {self._database}: {state}>"

    async def begin(self) -> bool:
        """Open the database, if that does not take too long; say whether it is open.

        Raises ConfigError if it is not one that this version of the gateway can use.
        """
        with trio.move_on_after(_TIMEOUT):
            if await self._open():
                return True
        _log.warning("requests are served without the database until it is there")
        return False

    async def run(self) -> None:
        """Ask again and again, until the database is open."""
        wait = _FIRST_WAIT
        while True:
            await trio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)
            try:
                if await self._open():
                    return
            except ConfigError as exc:
                # It is there, and not what we need: at the start that would have been the end.
                if str(exc) != self._trouble:
                    _log.error("the database cannot be used", problems=list(exc.problems))
                self._trouble = self._database.barred = str(exc)

    async def _open(self) -> bool:
        """Bring the database up to date, and say whether it could be reached."""
        from ..store.engine import migrate

        database, auto_migrate = self._database, self._auto_migrate
        try:
            applied = await trio.to_thread.run_sync(
                lambda: migrate.ensure(database, auto_migrate=auto_migrate),
                abandon_on_cancel=True,
            )
        except StoreUnavailable as exc:
            database.barred = exc.message
            if exc.message != self._trouble:
                _log.warning("the database cannot be used yet", error=exc.message)
            self._trouble = exc.message
            return False
        database.barred = None
        self.opened.set()
        if applied:
            _log.info("the database is upgraded", database=database.name, revisions=applied)
            self._upgraded(applied)
        return True
