"""What a reload changes, what it cannot, and how it went."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .schema import Config

# The sockets are open, whoever signals us looks where the pid file is now, and the task that
# writes the request log has to outlive everything else.
_FIXED: Final = (("server", "bind"), ("server", "pid_file"), ("log", "requests"))


class Outcome(msgspec.Struct, frozen=True):
    """How one reload went. `generation` is that of the configuration in use after it.

    `needs_restart` names settings that the file has changed and that stay as they were, such as
    `server.bind`. Of a failed reload there are `problems`, and nothing has changed.
    """

    generation: int
    needs_restart: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def reloaded(self) -> bool:
        return not self.problems


class Failure(msgspec.Struct, frozen=True):
    """A reload that failed, `at` an ISO time."""

    at: str
    problems: tuple[str, ...]


class Standing(msgspec.Struct, frozen=True):
    """Which configuration is in use. `last_error` is None once a later reload succeeded."""

    path: str
    generation: int
    loaded_at: str
    needs_restart: tuple[str, ...] = ()
    last_error: Failure | None = None


def hold_fixed(running: Config, loaded: Config) -> tuple[Config, tuple[str, ...]]:
    """Return `loaded` with what cannot change as it is in `running`, and the names of that."""
    held: list[str] = []
    for table, key in _FIXED:
        now = getattr(getattr(running, table), key)
        wanted = getattr(loaded, table)
        if getattr(wanted, key) != now:
            held.append(f"{table}.{key}")
            changed: dict[str, Any] = {table: msgspec.structs.replace(wanted, **{key: now})}
            loaded = msgspec.structs.replace(loaded, **changed)
    return loaded, tuple(held)
