"""The calls of one attempt, a few at a time, and one answer of all of theirs.

The first that fails is the attempt's failure, and ends the others: what came so far is thrown away,
since vectors of two attempts may be of two models. What it cost is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import trio

from ....core.dialects.base import Answer, NotAnAnswer
from ....core.routing.causes import Cause
from ...outcomes import Committed, Failed
from ...protocols import Upstream
from ..attempt import PreparedCall, SizeLimits, attempt_answer

# Of one request at once. A provider counts requests by the minute, and other callers want some too.
AT_ONCE: Final = 8


async def attempt_calls(
    upstream: Upstream,
    calls: Sequence[PreparedCall],
    read: Callable[[int, bytes], Answer],
    rewrite: Callable[[Sequence[bytes]], Answer],
    limits: SizeLimits,
) -> Committed | Failed:
    """Make all `calls` and return what `rewrite` makes of their answers, in order.

    `read` reads the answer to a call by its number. Both raise NotAnAnswer for what is none; this
    raises nothing but Cancelled.
    """
    gathered = _Gathered(upstream, calls, read, limits)
    async with trio.open_nursery() as nursery:
        for _ in range(min(AT_ONCE, len(calls))):
            nursery.start_soon(gathered.work, nursery.cancel_scope)
    if gathered.failed is not None:
        return gathered.failed
    assert gathered.first is not None
    try:
        answer = rewrite(gathered.bodies)
    except NotAnAnswer as exc:
        cause = Cause.UNREADABLE if exc.final else Cause.PROTOCOL_VIOLATION
        return Failed(cause, str(exc), gathered.first.response.status)
    return msgspec.structs.replace(gathered.first, output=answer.body, usage=answer.usage)


class _Gathered:
    """The answers so far, or the failure."""

    def __init__(
        self,
        upstream: Upstream,
        calls: Sequence[PreparedCall],
        read: Callable[[int, bytes], Answer],
        limits: SizeLimits,
    ) -> None:
        self.bodies = [b""] * len(calls)
        self.first: Committed | None = None
        self.failed: Failed | None = None
        self._upstream = upstream
        self._calls = calls
        self._read = read
        self._limits = limits
        self._left = iter(range(len(calls)))
        self._size = 0

    async def work(self, scope: trio.CancelScope) -> None:
        """Make one call after the other, until there are none left or one has failed."""
        for number in self._left:
            outcome = await self._make(number)
            if isinstance(outcome, Failed):
                self.failed = self.failed or outcome
                scope.cancel()
                return
            self._size += len(outcome.output)
            if self._size > self._limits.response:
                message = f"the answers are larger than {self._limits.response} bytes together"
                self.failed = Failed(Cause.UNREADABLE, message, outcome.response.status)
                scope.cancel()
                return
            self.bodies[number] = outcome.output
            # Its headers are those of the whole: of ids a caller can use one.
            self.first = self.first or outcome

    async def _make(self, number: int) -> Committed | Failed:
        outcome = await self._once(number)
        if isinstance(outcome, Failed) and outcome.cause is Cause.STALE_CONNECTION:
            # Of eight connections one may well have been closed while it was idle.
            outcome = await self._once(number)
        return outcome

    async def _once(self, number: int) -> Committed | Failed:
        def keep(body: bytes) -> Answer:
            # What is no answer is told as of any call; the bodies are put together as they came.
            self._read(number, body)
            return Answer(body, None)

        call = self._calls[number]
        outcome = await attempt_answer(self._upstream, call, keep, None, self._limits)
        if isinstance(outcome, Committed):
            await outcome.response.aclose()
        return outcome
