"""What a process answers: to its own admin API, and to the other processes of its gateway."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, cast

import trio

from .. import __version__
from ..config.reload_status import ReloadStatus
from ..lifecycle import Lifecycle
from ..proxy.services import Services
from .exports import ExportProgress, ProcessExports
from .known.presence import ProcessPresence
from .process_state import (
    CacheState,
    EntryState,
    ProcessState,
    SlotState,
    deployment_state,
    milliseconds_of,
)
from .questions import (
    CancelledRequest,
    CancelQuestion,
    DrainQuestion,
    ExportQuestion,
    InFlightQuestion,
    OwnInFlight,
    Question,
    StateQuestion,
)


class Respondent:
    """Answers at once, in Trio's thread; nothing in it waits.

    `since` is when the process started, in Trio's seconds; `worker` is its number, None if it is
    alone. `store` and `debug_log` return the state of the writer of records and of that of
    captures, as JSON can hold it; `exports` knows the files that it sends.
    """

    def __init__(
        self,
        services: Services,
        lifecycle: Lifecycle,
        since: float,
        reload_status: Callable[[], ReloadStatus],
        *,
        worker: int | None = None,
        store: Callable[[], object] | None = None,
        debug_log: Callable[[], object] | None = None,
        exports: ProcessExports | None = None,
        presence: ProcessPresence | None = None,
    ) -> None:
        self._presence = presence
        self._services = services
        self._lifecycle = lifecycle
        self._since = since
        self._reload_status = reload_status
        self._worker = worker
        self._store = store
        self._debug_log = debug_log
        self._exports = exports

    def __repr__(self) -> str:
        return f"<Respondent of worker {self._worker}, {self._lifecycle!r}>"

    def answer(self, question: Question) -> object:
        """Return what the question's type says."""
        match question:
            case StateQuestion():
                return self._state()
            case InFlightQuestion():
                return self._in_flight(question)
            case CancelQuestion():
                records = self._services.in_flight.cancel(question.request_id)
                return [CancelledRequest(each.token, each.model) for each in records]
            case ExportQuestion():
                return self._export(question)
            case DrainQuestion():
                return self._drain(question)

    def _state(self) -> ProcessState:
        now = trio.current_time()
        services, lifecycle = self._services, self._lifecycle
        traffic, cache, entry = services.traffic, services.cache.store, lifecycle.entry
        return ProcessState(
            version=__version__,
            pid=os.getpid(),
            worker=self._worker,
            phase=lifecycle.standing,
            in_flight=lifecycle.in_flight,
            uptime_s=round(now - self._since, 3),
            loop_lag_ms=milliseconds_of(max(traffic.lag.current(now), entry.wait)),
            entry=EntryState(entry.waiting, milliseconds_of(entry.wait), entry.turned_away),
            config=self._reload_status(),
            deployments=[deployment_state(each) for each in services.health.status(now)],
            slots=[
                SlotState(each.what, each.in_use, each.limit, each.waiting, each.shared)
                for each in traffic
            ],
            cache=CacheState(len(cache), cache.stored + cache.held),
            debug_log=_said(self._debug_log),
            store=_said(self._store),
            **self._place(),
        )

    def _place(self) -> dict[str, Any]:
        """Return what is to be known of its place among all processes."""
        presence = self._presence
        if presence is None:
            return {}
        return {
            "id": presence.id,
            "host": presence.host,
            "load": presence.load,
            "limits": presence.limits(),
            "leads": tuple(sorted(presence.leads())),
        }

    def _drain(self, question: DrainQuestion) -> list[str]:
        if self._presence is None:
            return []
        self._presence.add(question.drain, question.target)
        return [self._presence.id]

    def _export(self, question: ExportQuestion) -> list[ExportProgress]:
        if self._exports is None:
            return []
        found = self._exports.progress(question.who, question.word)
        return [] if found is None else [found]

    def _in_flight(self, question: InFlightQuestion) -> OwnInFlight:
        exchanges = self._services.in_flight
        rows = exchanges.rows(trio.current_time(), question.limit, question.after)
        return OwnInFlight(os.getpid(), list(rows), len(exchanges))


def _said(state: Callable[[], object] | None) -> dict[str, Any] | None:
    return None if state is None else cast("dict[str, Any]", state())
