"""Where this process stands between its start and its exit, as everything in it needs to know.

    STARTING --ready--> RUNNING --start_drain--> DRAINING --end_requests--> ENDING
                           |                                                  ^
                           +------------------end_requests--------------------+

`serve/` drives it from signals, the API asks it, and every exchange hangs its cancel scope
here so that the end of a drain can end it with a reason.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterator
from typing import Final

import trio


class Phase(enum.Enum):
    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    ENDING = "ending"


_ORDER: Final = {phase: rank for rank, phase in enumerate(Phase)}


class Lifecycle:
    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self._enders: set[Callable[[], None]] = set()
        self._empty: trio.Event | None = None

    def __repr__(self) -> str:
        return f"<Lifecycle {self.phase.value}, {len(self._enders)} in flight>"

    @property
    def in_flight(self) -> int:
        """Return how many exchanges are under way."""
        return len(self._enders)

    @property
    def leaving(self) -> bool:
        """Say whether connections should be closed after the answer in progress."""
        return self.phase in (Phase.DRAINING, Phase.ENDING)

    def ready(self) -> None:
        self._advance(Phase.RUNNING)

    def start_drain(self) -> None:
        """Turn readiness off and ask clients to move; work goes on. Idempotent."""
        self._advance(Phase.DRAINING)

    def end_requests(self) -> None:
        """End every exchange with `server_shutting_down`, and any that still arrives."""
        self._advance(Phase.ENDING)
        for end in tuple(self._enders):
            end()

    @contextlib.contextmanager
    def exchange(self, end: Callable[[], None]) -> Iterator[None]:
        """Count an exchange; `end` is called, at most twice, if it must stop for the exit."""
        self._enders.add(end)
        try:
            if self.phase is Phase.ENDING:
                end()
            yield
        finally:
            self._enders.discard(end)
            if not self._enders and self._empty is not None:
                self._empty.set()

    async def wait_empty(self) -> None:
        """Return once no exchange is under way."""
        while self._enders:
            self._empty = trio.Event()
            await self._empty.wait()

    def _advance(self, phase: Phase) -> None:
        # Never backwards: a second SIGTERM, or a late start-up, changes nothing.
        if _ORDER[phase] > _ORDER[self.phase]:
            self.phase = phase
