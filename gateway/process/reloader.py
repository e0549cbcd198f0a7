"""Reloads the configuration, one reload after the other, for signals and for admins.

All that is asked for while a reload is under way is answered by one more: the file may have
changed since the one under way has read it, and a hundred signals are one more reload, not a
queue of a hundred.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import structlog
import trio

from ..config.reload_status import AppliedReload, ReloadFailure, ReloadOutcome, ReloadStatus
from ..errors import ConfigError

# Of the names of changed settings in the log: one may put a new key to every token.
_SHOWN: Final = 20
# Seconds within which two requests for a reload are the same one: a signal of the supervisor, and
# what is told through a server or the database.
_SAME: Final = 3.0

_log = structlog.get_logger(__name__)

# Makes a configuration that was found valid the one in use.
Reload = Callable[[], Awaitable[AppliedReload]]


class _Pass:
    """One reload, begun or not, and what has asked for it."""

    def __init__(self) -> None:
        self.causes: dict[str, None] = {}
        self.done: Final = trio.Event()
        self.outcome = ReloadOutcome(0)


class Reloader:
    """`reload` raises ConfigError and then has changed nothing. `path` is the file, for people."""

    def __init__(self, path: str, reload: Reload) -> None:
        self.status = ReloadStatus(path, generation=1, loaded_at=_now())
        # When one was asked for last, in Trio's seconds.
        self._asked_at = -math.inf
        self._reload = reload
        self._next = _Pass()
        self._asked = trio.Event()

    def __repr__(self) -> str:
        return f"<Reloader of {self.status.path}, generation {self.status.generation}>"

    def ask(self, cause: str) -> _Pass:
        """Ask for a reload that begins from now on; can be called before `run` is."""
        self._asked_at = trio.current_time()
        self._next.causes[cause] = None
        self._asked.set()
        return self._next

    def follow(self) -> None:
        """Reload since another process was, unless that has been heard of in another way."""
        if trio.current_time() - self._asked_at > _SAME:
            self.ask("a reload of another process")

    async def reload(self, cause: str) -> ReloadOutcome:
        """Reload, and return how it went."""
        mine = self.ask(cause)
        await mine.done.wait()
        return mine.outcome

    async def run(self) -> None:
        """Do what is asked for, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            current, self._next = self._next, _Pass()
            current.outcome = await self._once(" and ".join(current.causes))
            current.done.set()

    def note_failure(self, problems: tuple[str, ...], cause: str) -> ReloadOutcome:
        """Log and remember that a file could not be used."""
        status = self.status
        _log.error(
            "the configuration is not reloaded; the old one stays in use",
            cause=cause,
            path=status.path,
            problems=list(problems),
        )
        self.status = ReloadStatus(
            status.path,
            status.generation,
            status.loaded_at,
            status.needs_restart,
            ReloadFailure(_now(), problems),
            status.warnings,
        )
        return ReloadOutcome(status.generation, status.needs_restart, problems)

    async def _once(self, cause: str) -> ReloadOutcome:
        try:
            applied = await self._reload()
        except ConfigError as exc:
            return self.note_failure(exc.problems, cause)
        except Exception as exc:  # noqa: BLE001
            # The configuration in use works all the same, and requests are served with it.
            _log.exception("a reload failed")
            return self.note_failure((f"{type(exc).__name__}: {exc}",), cause)
        generation = self.status.generation + 1
        held, changed, warnings = applied.needs_restart, applied.changed, applied.warnings
        self.status = ReloadStatus(self.status.path, generation, _now(), held, None, warnings)
        _log.info(
            "configuration reloaded",
            cause=cause,
            generation=generation,
            changed=list(changed[:_SHOWN]),
        )
        if held:
            _log.warning("some changes need a restart", settings=list(held))
        for warning in warnings:
            _log.warning("a large part of the configuration is gone", note=warning)
        return ReloadOutcome(generation, held, changed=changed, warnings=warnings)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
