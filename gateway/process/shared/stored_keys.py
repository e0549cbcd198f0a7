"""Keeps the keys and teams of the database in step with what operators change, in every process.

Each process asks once a second whether anything has changed, and reads only what has. A request
knows nothing of it: its snapshot has all callers in one dict, whatever they come from. While the
database is away all keys that are known go on.

A gateway without [[tokens]] is open to everyone, unless the database has keys. So as long as that
is not known it is closed, but for one whose configuration says that it is meant to be open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import structlog
import trio

from ...config.callers import AllCallers, Caller, CallerMaker, callers_of
from ...config.keys.stored import KeyState, StoredKey
from ...config.keys.tables import Team
from ...config.schema import Config
from ...config.snapshot import Snapshot
from ...errors import StoreUnavailable
from ...store.control import stored_keys, stored_teams
from ...store.control.generations import KEYS, Transaction, current
from ...store.engine.database import Database

# So that a key that is revoked is refused everywhere within a second, with what a look takes.
INTERVAL: Final = 0.8
# Seconds that a starting process waits for the first answer before it serves.
_BEGIN: Final = 5.0
# Seconds for one answer. The next question waits for it.
_TIMEOUT: Final = 5.0
# Names of keys that a file hides, in the log.
_SHOWN: Final = 20
# Names of keys that metrics are to tell apart; there is rarely room for more.
_NAMED: Final = 1000

_log = structlog.get_logger(__name__)


class StoredKeys:
    """`apply` puts other callers into use; it is called in Trio's thread and awaits nothing."""

    def __init__(self, database: Database, apply: Callable[[Config, AllCallers], None]) -> None:
        self._database = database
        self._apply = apply
        # By name, and how far they have been read; None before the first answer.
        self._keys: dict[str, StoredKey] = {}
        self._generation: int | None = None
        self._teams: tuple[Team, ...] = ()
        self._config: Config | None = None
        self._made: tuple[Config, tuple[Team, ...], dict[bytes, Caller]] | None = None
        self._applied: int | None = None
        self._failing = False
        self._hurried = trio.Event()
        self._hidden: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<StoredKeys {len(self._keys)}, generation {self._generation}>"

    @property
    def generation(self) -> int | None:
        """Return the generation that requests run on; None before the database has answered."""
        return self._applied

    @property
    def any(self) -> bool:
        """Say whether there is or was a stored key."""
        return bool(self._keys)

    def callers(self, config: Config) -> AllCallers:
        """Return who may call by `config`. May take half a second for 10^5 keys, in a thread."""
        keys, generation, teams = tuple(self._keys.values()), self._generation, self._teams
        made = self._made
        if made is None or made[0] is not config or made[1] != teams:
            made = self._made = config, teams, callers_of(config, teams)
        of_files = made[2]
        names = {caller.name for caller in of_files.values()} if keys else set()
        maker = CallerMaker(config, teams)
        found: dict[bytes, Caller] = {}
        hidden = []
        for key in keys:
            if key.name in names or key.digest in of_files:
                if key.state is not KeyState.REVOKED:
                    hidden.append(key.name)
                continue
            for caller in key.callers(maker):
                found[caller.digest] = caller
        shown = tuple(key.name for key in keys[:_NAMED])
        return AllCallers({**found, **of_files}, generation, tuple(hidden), shown)

    def adopt(self, config: Config, snapshot: Snapshot, found: AllCallers) -> Snapshot:
        """Return `snapshot`, of `config`, with the callers that were `found` for it."""
        self._config, self._applied = config, found.generation
        self._complain(found.hidden)
        unknown = found.generation is None
        meant = config.server.open
        if unknown and not meant and not found.callers:
            _log.warning(
                "nobody is let in before the database says whether it has keys; for a gateway that"
                " is to be open set open = true in [server]"
            )
        return msgspec.structs.replace(
            snapshot,
            callers=found.callers,
            closed=not meant and (unknown or self.any),
            keys_unknown=unknown,
        )

    async def begin(self) -> None:
        """Read the keys before the first request, unless that takes too long."""
        with trio.move_on_after(_BEGIN):
            await self.refresh()

    async def run(self) -> None:
        """Follow what is changed, until cancelled."""
        while True:
            with trio.move_on_after(INTERVAL):
                await self._hurried.wait()
            self._hurried = trio.Event()
            await self.refresh()

    def hurry(self) -> None:
        """Look now, not only when it is time."""
        self._hurried.set()

    async def refresh(self) -> bool:
        """Look once, and say whether that worked. Never fails: what is known stays in use."""
        since = self._generation or 0
        try:
            generation, changed, teams = await self._database.read(
                lambda connection: _changes(connection, since), _TIMEOUT
            )
        except StoreUnavailable as exc:
            self._note(exc.message)
            return False
        self._note(None)
        first = self._generation is None
        if generation < since:
            # Another database under the same name, or one that was restored: all is read again.
            self._generation = None
            self._keys.clear()
            return await self.refresh()
        self._keys.update((key.name, key) for key in changed)
        self._generation = generation
        if teams is not None:
            self._teams = tuple(teams)
        if first or changed or self._applied != generation:
            await self._follow()
        return True

    async def _follow(self) -> None:
        """Have requests run on what is known now."""
        while (config := self._config) is not None:
            found = await trio.to_thread.run_sync(self.callers, config, abandon_on_cancel=True)
            if config is self._config:
                self._apply(config, found)
                return
            # A reload came in between, and its callers may be older than these.

    def _note(self, error: str | None) -> None:
        if error is not None and not self._failing:
            _log.warning("keys are only what this process knows", error=error)
        elif error is None and self._failing:
            _log.info("keys are read from the database again")
        self._failing = error is not None

    def _complain(self, hidden: tuple[str, ...]) -> None:
        if hidden and hidden != self._hidden:
            _log.warning(
                "keys in the database count for nothing: a file has the same name or secret",
                keys=hidden[:_SHOWN],
            )
        self._hidden = hidden


def _changes(
    connection: Transaction, since: int
) -> tuple[int, Iterable[StoredKey], Iterable[Team] | None]:
    """Return the generation, the keys that were changed, and the teams unless none was."""
    generation = current(connection).get(KEYS, 0)
    if generation == since and since:
        return generation, (), None
    changed = stored_keys.changed_since(connection, since if generation >= since else 0)
    teams = sorted(stored_teams.all_teams(connection), key=lambda each: each.name)
    return generation, changed, [each.team for each in teams]
