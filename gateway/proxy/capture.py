"""The debug log at work: choose a request, and hand on what was noted of it.

Off, it costs a request one look at `policy` and one at `windows`. On, it copies what is written and
awaits nothing: reading, redacting, compressing and writing are the sink's, on a thread of its own.

A fault of the debug log's own costs a capture and never a request: it is logged, and the request
goes on without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import structlog
import trio

from ..config.schema import DebugLog
from ..core.capture.capture import Capture, CapturedRequest, CapturePolicy, MemoryBudget
from ..core.capture.json_path import parse_path
from ..core.records.record import Record
from ..core.routing.backoff import Rng

# Of captures under way and those that wait to be written: 16 of the default's largest.
ROOM_BYTES: Final = 64 * 1024 * 1024

_log = structlog.get_logger(__name__)


class CaptureSink(Protocol):
    """Takes finished captures, and releases each. Must neither wait nor fail."""

    def put(self, capture: Capture) -> None: ...


class CaptureLog:
    """Begins and ends captures. `policy` is None while the debug log is off.

    `windows` has the keys of which all requests are kept for a while, whatever `policy` says, and
    until when on Trio's clock. It is replaced whole.

    `given_up` counts those for which there was no room, or that met a fault of our own.
    """

    def __init__(self, sink: CaptureSink, rng: Rng, room_bytes: int = ROOM_BYTES) -> None:
        self.policy: CapturePolicy | None = None
        self.windows: Mapping[str, float] = {}
        self.given_up = 0
        self.room = MemoryBudget(room_bytes)
        self._sink = sink
        self._rng = rng
        # Of the windows: the bounds and the paths of the settings, and every outcome.
        self._whole = CapturePolicy()

    def __repr__(self) -> str:
        return f"<CaptureLog {'off' if self.policy is None else 'on'}, {self.room}>"

    def configure(self, settings: DebugLog) -> None:
        """Go by `settings` from now on. Raises ValueError for a path that can't be read."""
        self.policy = policy_of(settings)
        self._whole = CapturePolicy(
            max_bytes=settings.max_bytes, paths=tuple(map(parse_path, settings.redact))
        )

    def selects(self, token: str | None, model: str) -> bool:
        """Say whether to `begin` with a request."""
        policy = self.policy
        if self.windows and self._in_window(token):
            return True
        try:
            return policy is not None and policy.selects(token, model, self._rng)
        except Exception:  # noqa: BLE001  # of any kind: no request may fail because of it
            self._failed()
            return False

    def begin(self, request: CapturedRequest) -> Capture | None:
        """Start with a request that was selected; every capture must come to its `finish`."""
        try:
            policy = self.policy
            if policy is None or self._in_window(request.token):
                policy = self._whole
            return Capture(request, policy, self.room)
        except Exception:  # noqa: BLE001  # the same
            self._failed()
            return None

    def finish(self, capture: Capture, record: Record) -> None:
        """Hand the capture on, or let it go if only failures are kept and this was none."""
        try:
            self._finish(capture, record)
        except Exception:  # noqa: BLE001  # the same
            self._failed()
            capture.release()

    def _in_window(self, token: str | None) -> bool:
        until = None if token is None else self.windows.get(token)
        return until is not None and trio.current_time() < until

    def _failed(self) -> None:
        self.given_up += 1
        _log.exception("a request could not be captured")

    def _finish(self, capture: Capture, record: Record) -> None:
        if capture.given_up:
            self.given_up += 1
        elif capture.policy.keeps(record.status, record.end_reason):
            capture.record = record
            self._sink.put(capture)
        else:
            capture.release()


def policy_of(settings: DebugLog) -> CapturePolicy | None:
    """Return what `[debug_log]` says; None: keep nothing. Raises ValueError for a bad path."""
    if not settings.on:
        return None
    return CapturePolicy(
        tokens=frozenset(settings.tokens),
        models=frozenset(each for each in settings.models if not each.endswith("*")),
        beginnings=tuple(each[:-1] for each in settings.models if each.endswith("*")),
        sample=settings.sample,
        errors_only=settings.errors_only,
        max_bytes=settings.max_bytes,
        paths=tuple(map(parse_path, settings.redact)),
    )
