"""Compares what is counted of budgets with what is on record, and corrects the count.

The records are what counts in the end: they are what bills are checked against. The count may be
too low, since a store was emptied or has failed over to a copy that was behind; it is raised at
once. It may be too high, since a cost was told twice around an outage; but it is always ahead of
the records by what is not written yet, or waits in a journal. So it is lowered only by what was
too much at several looks in a row, each time compared with records that are newer than the count.

Gateways with databases of their own may share one place of limits. Then each says what its database
has, and the count is held against the sum. It is not lowered: what the others have is as old as
their last look, and what processes without a database have spent is nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from ...core.limits.account import Scope
from ...core.limits.operations import (
    CorrectCall,
    ScopeLevel,
    SpendingCounted,
    SpendingOnRecord,
    StoreFailed,
)
from .link import StoreLink
from .share import KnownLevel

# Looks at which the count must have been too high. They are 15 s apart, and records are written
# within a second of the end of their requests where all is well.
_LOOKS: Final = 3
_BATCH: Final = 100

_log = structlog.get_logger(__name__)


class _Count:
    """What was counted at the last look, and by how much at least it was too high since when."""

    __slots__ = ("excess", "looks", "spent", "starts")

    def __init__(self, spent: int, starts: float) -> None:
        self.spent = spent
        self.starts = starts
        self.looks = 0
        self.excess = 0


class SpendingCheck:
    """`levels` is how full scopes are, as far as this process knows."""

    def __init__(
        self, link: StoreLink, levels: dict[str, KnownLevel], clock: Callable[[], float]
    ) -> None:
        self._link = link
        self._levels = levels
        self._clock = clock
        self._counts: dict[str, _Count] = {}
        # Which database the records are in; "" as long as that is not known.
        self.database = ""
        self._shared = False

    def __repr__(self) -> str:
        return f"<SpendingCheck of {len(self._counts)} budgets>"

    async def compare(
        self, spent: Sequence[tuple[Scope, int]], epoch: float, *, lags: bool = False
    ) -> None:
        """Correct the counts by what is on record as `spent` in the windows around `epoch`.

        `lags` says that this process has records that are not there yet: nothing is lowered.
        """
        if lags:
            self._counts.clear()
        for start in range(0, len(spent), _BATCH):
            records = [
                SpendingOnRecord(scope, amount, epoch, self._excess(scope.key, amount, epoch))
                for scope, amount in spent[start : start + _BATCH]
            ]
            try:
                counted = await self._link.ask(CorrectCall(tuple(records), self.database))
            except StoreFailed:
                self.learn(spent, self._clock())
                return
            for record, count in zip(records, counted, strict=True):
                self._counted(record, count, epoch)
            self._note(max((each.databases for each in counted), default=1))

    def learn(self, spent: Sequence[tuple[Scope, int]], now: float) -> None:
        """Take note of what is on record while nothing can be asked."""
        for scope, amount in spent:
            known = self._levels.get(scope.key)
            level = ScopeLevel() if known is None else known.now(now)
            if amount > level.spent:
                level = ScopeLevel(
                    level.requests, level.tokens, amount, level.reserved, level.reset
                )
                self._levels[scope.key] = KnownLevel(level, now)

    def _excess(self, key: str, on_record: int, starts: float) -> int:
        count = self._counts.get(key)
        if count is None or count.starts != starts:
            return 0
        over = count.spent - on_record
        if over <= 0:
            count.looks = count.excess = 0
            return 0
        count.excess = over if not count.looks else min(over, count.excess)
        count.looks += 1
        return count.excess if count.looks >= _LOOKS else 0

    def _counted(self, record: SpendingOnRecord, found: SpendingCounted, starts: float) -> None:
        key = record.scope.key
        count = self._counts.get(key)
        if count is None or count.starts != starts:
            count = self._counts[key] = _Count(found.spent, starts)
            # What is on record was counted by processes that had no store, or is another's.
            return
        count.spent = found.spent
        if record.excess or found.databases > 1:
            count.looks = count.excess = 0
        if found.spent != found.before:
            _log.warning(
                "a budget is corrected by what is on record",
                scope=key,
                counted_nano_usd=found.before,
                nano_usd=found.spent,
            )

    def _note(self, databases: int) -> None:
        """Say once that this gateway is not the only one, by its database."""
        if databases > 1 and not self._shared:
            _log.warning(
                "gateways with another database, or without one, share the limits of this one in"
                " the server of [state]: budgets are what is on record in all of them together, and"
                " are never lowered. If they are not meant to be one gateway, give each a `prefix`"
                " of its own in [state]",
                databases=databases,
            )
        self._shared = databases > 1
