"""What the admin API works with."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from ..config.reload_status import ReloadOutcome, ReloadStatus
from ..config.schema import Config
from ..config.snapshot import Snapshot
from ..core.processes import SharedRoll
from ..core.records.audit import AuditEvent
from ..group.exports import ProcessExports
from ..group.known.presence import ProcessPresence
from ..group.respondent import Respondent
from ..group.sisters import Sisters
from ..group.whole import Group
from ..lifecycle import Lifecycle
from ..proxy.services import Services
from ..store.engine.database import Database
from .accounts.sign_ins import SignIns
from .oidc.provider import OidcHttp


class Control(Protocol):
    """What the admin API needs of the application."""

    @property
    def config(self) -> Config:
        """Return the configuration in use."""
        ...

    @property
    def reload_status(self) -> ReloadStatus: ...

    async def reload_everywhere(self, cause: str) -> ReloadOutcome:
        """Reload this process and, if that worked, tell the others to do the same."""
        ...


@dataclass(frozen=True)
class Resources:
    """`snapshot` returns the configuration in use now; `audit` takes an event and never fails.

    `since` is when this process started, in Trio's seconds. `database` is None if nothing is kept,
    and `captures` is the folder of the debug log. `store` and `debug_log` return the state of the
    writer of records and of that of captures, as JSON can hold it; None if there is none. `clock`
    is Unix time in seconds. `oidc_http` calls the provider of [admin.oidc]. `sisters` are the
    other processes of this gateway; None for one that is alone, or does not know them. `look` has
    this process do at once what was ordered through the database; the others do within two
    seconds. `exports` knows the files that this process sends. `presence` is who this process is,
    and `roll` where all processes are known that share the server of [state]; None without one.
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
    clock: Callable[[], float] = time.time
    oidc_http: OidcHttp | None = None
    look: Callable[[], Awaitable[None]] | None = None
    sisters: Sisters | None = None
    exports: ProcessExports = field(default_factory=ProcessExports)
    presence: ProcessPresence | None = None
    roll: SharedRoll | None = None

    @cached_property
    def group(self) -> Group:
        """Return what asks all processes of this gateway how they are."""
        own = Respondent(
            self.services,
            self.lifecycle,
            self.since,
            lambda: self.control.reload_status,
            worker=None if self.sisters is None else self.sisters.number,
            store=self.store,
            debug_log=self.debug_log,
            exports=self.exports,
            presence=self.presence,
        )
        return Group(own, self.sisters)

    @cached_property
    def sign_ins(self) -> SignIns | None:
        """Return what knows users and sessions; None where nothing is kept."""
        if self.database is None:
            return None
        return SignIns(
            self.database, lambda: self.snapshot().admin_settings, self.audit, self.clock
        )
