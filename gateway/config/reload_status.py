"""What a reload changes, what it cannot, and how it went."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ..core.state_server import StateServer
from .schema import Config, Store, TracingConfig

# The sockets are open; `gateway reload` looks for the pid file where it is now; the writers of the
# records must outlive everything else.
_FIXED: Final = (
    ("server", "bind"),
    ("server", "state_dir"),
    ("server", "pid_file"),
    ("server", "proxy_protocol"),
    ("server", "tls"),
    ("admin", "enabled"),
    ("admin", "bind"),
    ("admin", "path"),
    ("admin", "page_process"),
    ("log", "requests"),
    *(("store", key) for key in Store.__struct_fields__),
    *(("state", key) for key in StateServer.__struct_fields__),
    ("cache", "shared"),
    ("debug_log", "folder"),
    ("metrics", "enabled"),
    ("metrics", "max_label_values"),
    *(("tracing", key) for key in TracingConfig.__struct_fields__),
)

# Names of settings in one row of the audit log: a reload may put a new key to every token.
_NAMED: Final = 100


class ReloadOutcome(msgspec.Struct, frozen=True):
    """How one reload went. `generation` is that of the configuration in use after it.

    `needs_restart` names settings that the file has changed and that stay as they were, such as
    `server.bind`; `changed` names those that are in use now. `warnings` are what is probably not
    meant, such as most tokens gone. A failed reload has `problems`, and has changed nothing.
    """

    generation: int
    needs_restart: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def reloaded(self) -> bool:
        return not self.problems

    def details(self) -> dict[str, Any]:
        """Return what the audit log says of it: names, and no values.

        Problems are only counted, since they quote the file, and a key may stand in the wrong
        place.
        """
        if not self.reloaded:
            return {"problems": len(self.problems)}
        found: dict[str, Any] = {"generation": self.generation}
        for what in ("changed", "needs_restart"):
            names: tuple[str, ...] = getattr(self, what)
            found[what] = names[:_NAMED]
            if len(names) > _NAMED:
                found[f"{what}_more"] = len(names) - _NAMED
        if self.warnings:
            found["warnings"] = self.warnings
        return found


class AppliedReload(msgspec.Struct, frozen=True):
    """What a reload has put into use; see `ReloadOutcome`."""

    needs_restart: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class ReloadFailure(msgspec.Struct, frozen=True):
    """A reload that failed, `at` an ISO time."""

    at: str
    problems: tuple[str, ...]


class ReloadStatus(msgspec.Struct, frozen=True):
    """Which configuration is in use. `last_error` is None once a later reload succeeded.

    `warnings` are those of the reload that has put it into use.
    """

    path: str
    generation: int
    loaded_at: str
    needs_restart: tuple[str, ...] = ()
    last_error: ReloadFailure | None = None
    warnings: tuple[str, ...] = ()


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
