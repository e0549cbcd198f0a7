"""Where this process stands between its start and its exit, as everything in it needs to know.

    STARTING --ready--> RUNNING --start_drain--> DRAINING --end_requests--> ENDING
                           |                       ^                          ^
                           +-retire-> RETIRING ----+--------------------------+

A process that retires has a successor behind the same sockets. It accepts nothing more, and what it
has goes on as ever, in its queues too; to load balancers the gateway is as ready as before.

Beside that an operator may have taken the process out of service for a while (`drained`): it is not
ready and asks clients to move, and serves what comes all the same. Where other processes accept
from the same sockets it leaves new connections to them (`paused`), and the address is as ready as
before.

`serve/` drives it from signals, the API asks it, and every exchange hangs its cancel scope
here so that the end of a drain can end it with a reason.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final


class Phase(enum.Enum):
    STARTING = "starting"
    RUNNING = "running"
    RETIRING = "retiring"
    DRAINING = "draining"
    ENDING = "ending"


_ORDER: Final = {phase: rank for rank, phase in enumerate(Phase)}


class EntryCounts:
    """What the server says of requests that have not begun yet: `serve/entry` writes it.

    `wait` is how many seconds the next request will have to wait for its turn, `waiting` how many
    do so. `turned_away` were answered 503 in place of that, since the process began.
    """

    __slots__ = ("turned_away", "wait", "waiting")

    def __init__(self) -> None:
        self.wait = 0.0
        self.waiting = 0
        self.turned_away = 0

    def __repr__(self) -> str:
        return (
            f"<EntryCounts {self.waiting} wait {self.wait:.3f} s, {self.turned_away} turned away>"
        )


class Lifecycle:
    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self.drained = False
        self.paused = False
        # Another process has taken this one's place among the workers.
        self.succeeded = False
        self.entry: Final = EntryCounts()
        self._enders: set[Callable[[], None]] = set()
        self._on_drain: list[Callable[[], None]] = []
        self._on_leaving: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<Lifecycle {self.phase.value}, {len(self._enders)} in flight>"

    @property
    def in_flight(self) -> int:
        """Return how many exchanges are under way."""
        return len(self._enders)

    @property
    def standing(self) -> str:
        """Return what people are told of the phase."""
        return "drained" if self.drained and self.phase is Phase.RUNNING else self.phase.value

    @property
    def moving(self) -> bool:
        """Say whether connections of callers should be closed after the answer in progress."""
        return self.drained or self.phase in (Phase.RETIRING, Phase.DRAINING, Phase.ENDING)

    @property
    def leaving(self) -> bool:
        """Say whether the process is on its way to its exit."""
        return self.phase in (Phase.RETIRING, Phase.DRAINING, Phase.ENDING)

    @property
    def taking(self) -> bool:
        """Say whether new requests should be sent to this address."""
        in_service = self.paused or not self.drained
        return in_service and self.phase in (Phase.RUNNING, Phase.RETIRING)

    def ready(self) -> None:
        self._advance(Phase.RUNNING)

    def retire(self) -> None:
        """Ask clients to move to the successor; work goes on, what waits for a place included."""
        self.succeeded = True
        self._advance(Phase.RETIRING)

    def leave(self) -> None:
        """Go on to leave as was asked for; by a drain if nothing was."""
        if self.phase is not Phase.RETIRING:
            self.start_drain()

    def start_drain(self) -> None:
        """Turn readiness off and ask clients to move; work goes on. Idempotent."""
        self._advance(Phase.DRAINING)
        for tell in self._on_drain:
            tell()

    def when_draining(self, tell: Callable[[], None]) -> None:
        """Call `tell` at the beginning of the drain, perhaps more than once."""
        self._on_drain.append(tell)

    def when_leaving(self, tell: Callable[[], None]) -> None:
        """Call `tell` when the process begins to leave, in whatever way; once."""
        self._on_leaving.append(tell)

    def end_requests(self) -> None:
        """End every exchange with `server_shutting_down`, and any that still arrives."""
        self._advance(Phase.ENDING)
        for end in tuple(self._enders):
            end()

    def exchange(self, end: Callable[[], None]) -> AbstractContextManager[None]:
        """Count an exchange; `end` is called, at most twice, if it must stop for the exit."""
        return _Exchange(self, end)

    def _enter(self, end: Callable[[], None]) -> None:
        self._enders.add(end)
        if self.phase is Phase.ENDING:
            end()

    def _leave(self, end: Callable[[], None]) -> None:
        self._enders.discard(end)

    def _advance(self, phase: Phase) -> None:
        # Never backwards: a second SIGTERM, or a late start-up, changes nothing.
        if _ORDER[phase] > _ORDER[self.phase]:
            self.phase = phase
        if self.leaving:
            telling, self._on_leaving = self._on_leaving, []
            for tell in telling:
                tell()


class _Exchange:
    """A class, since a context manager made of a generator costs five times as much."""

    __slots__ = ("_end", "_lifecycle")

    def __init__(self, lifecycle: Lifecycle, end: Callable[[], None]) -> None:
        self._lifecycle = lifecycle
        self._end = end

    def __enter__(self) -> None:
        self._lifecycle._enter(self._end)

    def __exit__(self, *exc_info: object) -> None:
        self._lifecycle._leave(self._end)
