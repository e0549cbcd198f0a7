"""Everything that is made of what happened: log lines, database, metrics, spans, debug log.

It outlives the requests and every reload: what the end of everything else has to say is written
as well. Libraries that only one of them needs are imported when that one is wanted.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
import trio

from ..background import persist
from ..captures.writer import CaptureWriter
from ..config.reload_status import ReloadOutcome
from ..config.schema import Config, Retention
from ..core.records.audit import ActorKind, AuditAction, AuditEvent, AuditResult
from ..core.records.record import Record
from ..core.records.traceparent import Trace
from ..lifecycle import Lifecycle
from ..proxy.capture import CaptureLog
from ..serve.crew.member import WORKER
from ..telemetry.lines import LineRecorder
from ..telemetry.metrics.gauges import LogGauges
from .database_opening import DatabaseOpening

if TYPE_CHECKING:
    from ..store.engine.database import Database
    from ..store.held.jobs import Leadership
    from ..store.retention.sweep import PruneCounts
    from ..store.writing.writer import Writer
    from ..telemetry.metrics.recorder import MetricsRecorder
    from ..telemetry.tracing.tracer import OtlpTracer

_STDOUT: Final = 1
# Seconds between looks for a debug log, where there is no database.
_LOOK: Final = 60.0
# Of one reload, in the audit log.
_MOST_TOKENS: Final = 100

_log = structlog.get_logger(__name__)


class Recording:
    """A `Recorder`. `folder` is where the configuration file is. Raises ConfigError.

    `database`, `writer` and `tracer` are None where the configuration wants none; `leadership` is
    of what one process does for all on the database. `lifecycle` says whether another process has
    taken this one's place.
    """

    def __init__(self, config: Config, folder: Path, lifecycle: Lifecycle | None = None) -> None:
        self._lifecycle = lifecycle
        self.retention: Retention = config.retention
        # Which of a supervisor's workers this process is, if it is one.
        self._worker = os.environ.get(WORKER)
        self._metrics: MetricsRecorder | None = None
        self._opening: DatabaseOpening | None = None
        self.database: Database | None = None
        self.leadership: Leadership | None = None
        self.writer: Writer | None = None
        self.tracer: OtlpTracer | None = None
        self.debug_folder: Final = folder / config.debug_log.folder
        self.capture_writer: Final = CaptureWriter(self.debug_folder)
        self.captures: Final = CaptureLog(self.capture_writer, random.random)
        self._lines = LineRecorder(_STDOUT) if config.log.requests else None
        self._minimising = config.log.minimising
        # What takes every record; metrics are added later, by `count`.
        self.takers: list[Callable[[Record], None]] = []
        if config.store.url:
            self._keep(config, folder)
        if self._lines is not None:
            self.takers.append(self._lines.record)
        if config.tracing.endpoint:
            from ..telemetry.tracing.tracer import OtlpTracer

            self.tracer = OtlpTracer(config.tracing)

    def __repr__(self) -> str:
        return f"<Recording {self.database}, {self.writer}>"

    @property
    def opened(self) -> trio.Event | None:
        """Return what is set when the database can be used; None if nothing is kept."""
        return None if self._opening is None else self._opening.opened

    def _keep(self, config: Config, folder: Path) -> None:
        # Imported late: SQLAlchemy takes longer than all the rest of the start.
        from ..store.engine.database import Database
        from ..store.held.jobs import Leadership
        from ..store.writing.writer import Writer

        store = config.store
        self.leadership = Leadership()
        self.database = Database(store.url, folder)
        self._opening = DatabaseOpening(
            self.database, auto_migrate=store.auto_migrate, upgraded=self._upgraded
        )
        self.writer = Writer(
            self.database,
            folder / store.journal,
            max_bytes=store.journal_max_bytes,
            max_waiting=store.max_waiting,
            opened=self._opening.opened,
        )
        self.takers.append(self.writer.record)

    def record(self, record: Record, trace: Trace | None) -> None:
        """Hand `record` to all who want it; from now on it must not change."""
        if not self._minimising.keeps_all:
            record = self._minimising.applied(record)
        for take in self.takers:
            try:
                take(record)
            except Exception:  # noqa: BLE001  # the others get it all the same
                _log.exception("a record could not be taken", request_id=record.request_id)
        if trace is not None and self.tracer is not None:
            self.tracer.record(record, trace)

    def audit(self, event: AuditEvent) -> None:
        """Have `event` written to the audit log, if there is one."""
        if self.writer is not None:
            self.writer.audit(event)

    @property
    def _tells(self) -> bool:
        """Say whether this process puts on record what all workers do; its successor does then."""
        succeeded = self._lifecycle is not None and self._lifecycle.succeeded
        return self._worker is None or (self._worker == "0" and not succeeded)

    def audit_reload(self, outcome: ReloadOutcome, cause: str) -> None:
        """Put on record a reload that a signal has asked for; its sender is not known.

        Of several workers that get the signal from their supervisor the first says it for all,
        unless it is only told of what an administrator has reloaded here.
        """
        if self._worker is None or (self._tells and (outcome.problems or outcome.changed)):
            result = AuditResult.OK if outcome.reloaded else AuditResult.FAILED
            kind = ActorKind.OPERATOR if self._worker is None else ActorKind.SYSTEM
            self._note(AuditAction.CONFIG_RELOADED, result, cause, outcome.details(), kind)

    def audit_tokens(self, changed: Mapping[str, list[str]]) -> None:
        """Put on record which settings of which tokens a reload has changed."""
        if not self._tells:
            return
        for name, settings in islice(changed.items(), _MOST_TOKENS):
            details = {"settings": settings}
            self._note(AuditAction.TOKEN_CHANGED, AuditResult.OK, name, details, ActorKind.SYSTEM)
        if (more := len(changed) - _MOST_TOKENS) > 0:
            self._note(
                AuditAction.TOKEN_CHANGED, AuditResult.OK, None, {"more": more}, ActorKind.SYSTEM
            )

    def configure(self, config: Config) -> None:
        """Follow a new configuration, the first one too."""
        self.retention = config.retention
        self._minimising = config.log.minimising
        self.capture_writer.max_bytes = config.retention.debug_max_bytes
        if self.tracer is not None:
            self.tracer.configure(config.providers)
        if self._metrics is not None:
            self._metrics.know("model", [model.name for model in config.models])
            self._metrics.know("token", [token.name for token in config.tokens])
            self._metrics.know("provider", config.providers)

    def know_tokens(self, names: Iterable[str]) -> None:
        """Let metrics tell these tokens apart, if there is room."""
        if self._metrics is not None:
            self._metrics.know("token", names)

    def count(self, metrics: MetricsRecorder) -> None:
        """Hand every record to `metrics` as well."""
        self._metrics = metrics
        self.takers.append(metrics.record)

    def gauges(self) -> LogGauges | None:
        """Return how the request log is doing; None if there is none."""
        if self.writer is None:
            return None
        status = self.writer.status
        return LogGauges(
            waiting=status.waiting,
            written=status.written,
            journaled=status.journaled,
            dropped=status.dropped,
            failing=status.since is not None,
            journal_bytes=status.journal_bytes,
            captures_written=self.capture_writer.written,
            captures_dropped=self.capture_writer.dropped + self.captures.given_up,
        )

    def debug_log(self) -> dict[str, object]:
        """Return how the debug log is doing, as JSON can hold it."""
        captures, writer = self.captures, self.capture_writer
        return {
            "on": captures.policy is not None,
            "waiting": writer.waiting,
            "written": writer.written,
            # For want of memory, and of a disk that takes them.
            "pruned": writer.pruned,
            "given_up": captures.given_up,
            "dropped": writer.dropped,
            "last_error": writer.last_error,
        }

    # Tasks...

    async def start(self, nursery: trio.Nursery) -> None:
        """Open what records go to, and start what writes them there, in `nursery`.

        Cancelled, all of it sees to it within seconds that nothing is lost. Raises ConfigError
        if the database is not one that this version of the gateway can use.
        """
        if self._lines is not None:
            nursery.start_soon(persist, self._lines.run)
        nursery.start_soon(persist, self.capture_writer.run)
        if self.tracer is not None:
            nursery.start_soon(persist, self.tracer.run)
        if self.writer is None or self._opening is None:
            return
        if not await self._opening.begin():
            nursery.start_soon(persist, self._opening.run)
        nursery.start_soon(persist, self.writer.run)

    async def maintain(self) -> None:
        """Delete what is too old, and add up what is over, now and then.

        To be cancelled before the writers are.
        """
        captures = trio.Path(self.debug_folder)
        while self.database is None and not await captures.exists():  # noqa: ASYNC110
            # Nothing is kept, and SQLAlchemy would be 17 MB for nothing. A reload may change it.
            await trio.sleep(_LOOK)

        from ..store.retention.task import RetentionTask
        from ..store.rollups.task import CondensingTask

        opened = None if self._opening is None else self._opening.opened

        task = RetentionTask(
            self.database,
            lambda: self.retention,
            captures=self.debug_folder,
            report=self._report,
            opened=opened,
            leadership=self.leadership,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(task.run)
            if self.database is not None:
                nursery.start_soon(CondensingTask(self.database, opened=opened).run)

    def close(self) -> None:
        """Close the database, after the last task has ended."""
        if self.database is not None:
            self.database.close()

    def _upgraded(self, revisions: list[str]) -> None:
        assert self.database is not None
        details, name = {"revisions": revisions}, self.database.name
        self._note(AuditAction.MIGRATED, AuditResult.OK, name, details, ActorKind.SYSTEM)

    def _report(self, counts: PruneCounts, whole: bool) -> None:
        found = {name: getattr(counts, name) for name in counts.__struct_fields__}
        result = AuditResult.OK if whole else AuditResult.FAILED
        self._note(AuditAction.RETENTION, result, None, found, ActorKind.SYSTEM)

    def _note(
        self,
        action: AuditAction,
        result: AuditResult,
        target: str | None,
        details: dict[str, Any],
        kind: ActorKind = ActorKind.OPERATOR,
    ) -> None:
        self.audit(
            AuditEvent(
                time=time.time(),
                action=action,
                result=result,
                actor_kind=kind,
                target=target,
                details=details,
            )
        )
