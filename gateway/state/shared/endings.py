"""Ends of requests on their way to the store of limits: nobody waits for them.

They are sent in batches, again and again until they are known to have arrived; what arrives twice
counts once. While the store is away they wait here. There is room for as many as a process can have
under way; what has no room is dropped and counted: a grant that is never ended expires, and what
it cost is found in the records.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Final

import structlog
import trio

from ...core.limits.operations import (
    AnnounceCall,
    CarryCall,
    EndCall,
    GrantEnding,
    GrantHolding,
    RenewCall,
    StoreFailed,
)
from .link import StoreLink

# A batch is one script that the store runs while everybody else waits: a millisecond of its time.
_BATCH: Final = 64
_MOST: Final = 20_000
# News that wait to be announced. They are of little use later, so that these are of a moment.
_MOST_NEWS: Final = 256
# Seconds until another try where the link is up all the same: an answer was late for our own sake.
_AGAIN: Final = 0.05

_log = structlog.get_logger(__name__)


class EndingQueue:
    """`run` sends what was `put`, over `link`."""

    def __init__(self, link: StoreLink) -> None:
        self.dropped = 0
        self._link = link
        # By grant, in the order in which they came. What is told of one last holds all the rest.
        self._waiting: dict[str, GrantEnding] = {}
        self._carries: deque[CarryCall] = deque()
        self._renewals: deque[RenewCall] = deque()
        self._news: deque[AnnounceCall] = deque(maxlen=_MOST_NEWS)
        self._arrived = trio.Event()

    def __repr__(self) -> str:
        return f"<EndingQueue of {len(self._waiting)}, {self.dropped} dropped>"

    def __len__(self) -> int:
        told = len(self._waiting) + len(self._carries) + len(self._renewals)
        return told + len(self._news)

    def put(self, ending: GrantEnding) -> None:
        if len(self._waiting) >= _MOST and ending.grant.id not in self._waiting:
            del self._waiting[next(iter(self._waiting))]
            self.dropped += 1
            if self.dropped == 1:
                _log.error("ends of requests wait for the limits' store in vain; some are dropped")
        self._waiting[ending.grant.id] = ending
        self._arrived.set()

    def carry(self, call: CarryCall) -> None:
        """Send what was let through without the store, before all else."""
        self._carries.append(call)
        self._arrived.set()

    def renew(self, grants: Iterable[GrantHolding], seconds: float) -> None:
        """Send grants that the store does not know yet, or is to keep for longer."""
        left = iter(grants)
        while batch := tuple(islice(left, _BATCH)):
            self._renewals.append(RenewCall(batch, seconds))
        self._arrived.set()

    def announce(self, call: AnnounceCall) -> None:
        """Send news, before all else; while the link is down there is nobody to hear it."""
        if self._link.up:
            self._news.append(call)
            self._arrived.set()

    def forget_renewals(self) -> None:
        """Let go of renewals that were not sent: newer ones will be."""
        self._renewals.clear()

    async def run(self) -> None:
        """Send whatever comes for as long as the link is up; until cancelled."""
        while True:
            if not (self._link.up and len(self)):
                self._arrived = trio.Event()
                await self._arrived.wait()
                continue
            try:
                await self.send()
            except StoreFailed:
                # What was not sent stays first in its queue.
                await trio.sleep(_AGAIN)

    def resume(self) -> None:
        """Go on with what waits, now that the link is up again."""
        self._arrived.set()

    async def send(self) -> None:
        """Send all that waits. Raises StoreFailed."""
        while self._news:
            await self._link.ask(self._news.popleft())
        await self._send_all_of(self._carries)
        await self._send_all_of(self._renewals)
        while self._waiting:
            batch = tuple(islice(self._waiting.values(), _BATCH))
            await self._link.ask(EndCall(batch))
            for ending in batch:
                # More may have been told of it meanwhile.
                if self._waiting.get(ending.grant.id) is ending:
                    del self._waiting[ending.grant.id]

    async def _send_all_of(self, calls: deque[CarryCall] | deque[RenewCall]) -> None:
        while calls:
            first = calls[0]
            await self._link.ask(first)
            # They may have been let go of meanwhile, or were sent at the end of the process.
            if calls and calls[0] is first:
                calls.popleft()
