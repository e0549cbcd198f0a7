"""Keeps budgets in step with what is on record: after a restart, and between processes.

Each process counts its own spending at once. What other processes have spent, or earlier ones
before this one was started, it reads from the roll-ups some seconds later.

What earlier processes spent may not be in the database yet but in the journals that they left. So a
start waits, for a moment, until these are in the database; and it counts what they hold by itself,
which is all that is known while the database is away.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import structlog
import trio

from ..config.callers import OF_TEAM, OF_TOKEN, Caller
from ..config.snapshot import Snapshot
from ..core.limits.budget import Window, bounds
from ..core.limits.ledger import Scope
from ..errors import StoreUnavailable
from ..proxy.protocols import Limits
from ..state.shared.limits import SharedLimits
from ..store.control.generations import identity
from ..store.engine.database import Database
from ..store.held.jobs import RECONCILER, Leadership
from ..store.queries.spent import SpentBy, name_of, spent_since
from ..store.writing.journal_spending import spent_in_journals
from ..store.writing.writer import Writer

INTERVAL: Final = 15.0
# The part of the time that is spent on asking, when so many tokens make one question take long.
_SHARE: Final = 0.05
# Seconds that a starting process waits for the first answer before it serves.
_TIMEOUT: Final = 5.0
# Of these, seconds for what is in the journals to be read, and to get into the database.
_JOURNAL_SECONDS: Final = 1.0
_ADOPTION_SECONDS: Final = 2.5
# So many are taken note of at once, and then other tasks run: a thousand take a millisecond.
_BATCH: Final = 1000
_KINDS: Final[tuple[tuple[SpentBy, str], ...]] = (("token", OF_TOKEN), ("team", OF_TEAM))

# Scopes with a budget: by whose it is and its window, then by the name on record.
ScopesByWindow = dict[tuple[SpentBy, Window], dict[str, Scope]]

_log = structlog.get_logger(__name__)


class BudgetSync:
    """`snapshot` returns the configuration in use now. `writer` knows of the journals.

    Where processes have one count together, in the server of [state], one of them compares it with
    the records for all: `leadership` says which. `counts_alone` says whether this process counts by
    itself now; it needs to know what is on record then.
    """

    def __init__(
        self,
        database: Database,
        limits: Limits,
        snapshot: Callable[[], Snapshot],
        writer: Writer | None = None,
        leadership: Leadership | None = None,
        counts_alone: Callable[[], bool] = lambda: True,
    ) -> None:
        self._leadership = leadership
        self._counts_alone = counts_alone
        self._database = database
        self._limits = limits
        self._snapshot = snapshot
        self._writer = writer
        self._callers: Mapping[bytes, Caller] = {}
        self._by_window: ScopesByWindow = {}

    def __repr__(self) -> str:
        return f"<BudgetSync as {self._database} has it>"

    async def begin(self) -> None:
        """Take over what was spent before this process began, unless that takes too long."""
        with trio.move_on_after(_TIMEOUT):
            writer = self._writer
            if writer is not None and await self._windows():
                await self._count_journals(writer)
                if writer.adoption.opened.is_set():
                    with trio.move_on_after(_ADOPTION_SECONDS):
                        await writer.adoption.done.wait()
            await self.refresh()

    async def run(self) -> None:
        """Do so again and again, until cancelled."""
        while True:
            began = trio.current_time()
            done = await self.refresh() if self._concerned else False
            took = trio.current_time() - began if done else 0.0
            await self._sleep(max(INTERVAL, took / _SHARE))

    @property
    def _concerned(self) -> bool:
        leadership = self._leadership
        return leadership is None or leadership.leads(RECONCILER) or self._counts_alone()

    async def _sleep(self, seconds: float) -> None:
        """Sleep so long, or until this process takes the lead."""
        leadership = self._leadership
        with trio.move_on_after(seconds):
            if leadership is None or leadership.leads(RECONCILER) or self._counts_alone():
                await trio.sleep_forever()
            await leadership.taken(RECONCILER)

    async def refresh(self) -> bool:
        """Read the sums once, and say whether that worked. Never fails: what is known stays."""
        for (by, window), scopes in (await self._windows()).items():
            starts, _ = bounds(window, time.time())
            since = round(max(0.0, starts) * 1_000_000)
            try:
                await self._identify()
                spent = await self._database.read(partial(spent_since, since_us=since, by=by))
            except Exception as exc:  # noqa: BLE001  # requests are served all the same
                known = None if isinstance(exc, StoreUnavailable) else exc
                _log.warning(
                    "budgets are only what this process knows", error=str(exc), exc_info=known
                )
                return False
            # The time that the question was about: it may be another day by now.
            await self._recall(scopes, spent, max(0.0, starts))
        return True

    async def _identify(self) -> None:
        """Say which database has the records, once: others may share the limits."""
        limits = self._limits
        if isinstance(limits, SharedLimits) and not limits.records.database:
            limits.records.database = await self._database.write(identity)

    async def _count_journals(self, writer: Writer) -> None:
        daily = await trio.to_thread.run_sync(
            spent_in_journals, writer.adoption.folder, _JOURNAL_SECONDS, abandon_on_cancel=True
        )
        for (by, window), scopes in (await self._windows()).items():
            starts, _ = bounds(window, time.time())
            spent: Counter[str] = Counter()
            for (kind, name, day), amount in daily.items():
                if kind == by and day >= starts:
                    spent[name] += amount
            await self._recall(scopes, spent, max(0.0, starts))

    async def _recall(
        self, scopes: Mapping[str, Scope], spent: Mapping[str, int], epoch: float
    ) -> None:
        """Take note of what was spent; the ledger keeps the most that it was told."""
        # What is in a journal is spent, and not among the sums.
        lags = self._writer is not None and bool(self._writer.status.journal_bytes)
        found = [(scopes[name], amount) for name, amount in spent.items() if name in scopes]
        for start in range(0, len(found), _BATCH):
            await self._limits.recall(found[start : start + _BATCH], epoch, lags=lags)
            await trio.lowlevel.checkpoint()

    async def _windows(self) -> ScopesByWindow:
        """Return the scopes with a budget."""
        callers = self._snapshot().callers
        if callers is not self._callers:
            # There are as many as tokens: they are looked through once for each configuration, in
            # a thread.
            self._by_window = await trio.to_thread.run_sync(
                _by_window, callers, abandon_on_cancel=True
            )
            self._callers = callers
        return self._by_window


def _by_window(callers: Mapping[bytes, Caller]) -> ScopesByWindow:
    found: ScopesByWindow = {}
    for caller in callers.values():
        for scope in caller.scopes:
            if scope.budget is None:
                continue
            for by, prefix in _KINDS:
                if scope.key.startswith(prefix):
                    name = name_of(scope.key.removeprefix(prefix))
                    found.setdefault((by, scope.budget.window), {})[name] = scope
    return found
