"""What the admin API works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..config.reload_status import ReloadOutcome, ReloadStatus
from ..config.snapshot import Snapshot
from ..core.records.audit import AuditEvent
from ..lifecycle import Lifecycle
from ..proxy.services import Services
from ..store.engine.database import Database


class Control(Protocol):
    """What of the application the admin API has to do with."""

    @property
    def reload_status(self) -> ReloadStatus: ...

    async def reload_everywhere(self, cause: str) -> ReloadOutcome:
        """Reload this process and have the others do the same."""
        ...


@dataclass(frozen=True)
class Resources:
    """`snapshot` returns the one in use now, `audit` takes an event and never waits or fails.

    `since` is when this process started, in Trio's seconds. `database` is None if nothing is on
    record, `captures` is the folder of the debug log, and `store`, if there is one, returns how
    the writer of the records is doing, as JSON can hold it, and `debug_log` the same of captures.
    """

    control: Control
    services: Services
    lifecycle: Lifecycle
    since: float
    snapshot: Callable[[], Snapshot]
    audit: Callable[[AuditEvent], None]
    database: Database | None = None
    captures: Path | None = None
    store: Callable[[], object] | None = None
    debug_log: Callable[[], object] | None = None
