"""A second attempt beside a slow first one: whoever has something to show first wins.

    first    |------------------------------x  cancelled, its connection closed
    second            |--------------|commit
                 after^

All of them live in one nursery, so that whatever ends the request ends them all, and nothing
of a loser is left when the winner's answer begins.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from ...core.routing.causes import RULES, Again
from ..outcomes import Committed, Failed
from .log import AttemptLog

# Calls the provider of one attempt.
Call = Callable[[AttemptLog], Awaitable[Committed | Failed]]
# Begins another attempt, or says that there is none.
Another = Callable[[], Awaitable[AttemptLog | None]]


class Race:
    """Attempts side by side. `logs` are all of them, `winner` the first that committed."""

    def __init__(self, first: AttemptLog, call: Call) -> None:
        self.logs = [first]
        self.winner: AttemptLog | None = None
        self._call = call

    def __repr__(self) -> str:
        return f"<Race of {len(self.logs)}, won by {self.winner}>"

    async def run(self, after: float, extra: int, another: Another) -> None:
        """Run the first and, each `after` seconds without a winner, up to `extra` others.

        Ends when one has committed, when all have failed, or when one was refused in a way
        that every provider would. Each log has its outcome then; one without was cancelled,
        and is marked as hedged unless all were cancelled from outside. Losers are finished.
        """
        async with trio.open_nursery() as nursery:
            for log in self.logs:
                nursery.start_soon(self._attempt, log, nursery)
            nursery.start_soon(self._hedge, nursery, after, extra, another)
        for log in self.logs:
            if log.outcome is None:
                log.hedged = True
                await log.finish(None)

    async def _hedge(
        self, nursery: trio.Nursery, after: float, extra: int, another: Another
    ) -> None:
        for _ in range(extra):
            await trio.sleep(after)
            # Decided in this very tick: what would begin now could only be cancelled.
            over = nursery.cancel_scope.cancel_called
            log = None if over else await another()
            if log is None:
                return
            self.logs.append(log)
            nursery.start_soon(self._attempt, log, nursery)

    async def _attempt(self, log: AttemptLog, nursery: trio.Nursery) -> None:
        outcome = await self._call(log)
        if isinstance(outcome, Committed):
            if self.winner is not None:
                # Both in the same tick; the other was first.
                await outcome.response.aclose()
                return
            self.winner = log
            log.outcome = outcome
            nursery.cancel_scope.cancel("an attempt has committed")
            return
        log.outcome = outcome
        # At once: the others may take minutes, and it holds a place with its provider.
        await log.finish(None)
        # A hedge may be with a provider that takes less than the first; that one is still at it.
        decided = log is self.logs[0] and RULES[outcome.cause].again is Again.NOWHERE
        if decided or all(each.outcome is not None for each in self.logs):
            # The first to fail is not hedged: what follows it is decided with what is known.
            nursery.cancel_scope.cancel("no attempt is left to wait for")
