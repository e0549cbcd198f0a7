"""What a process is doing at the moment, as metrics show it, and the cells that hold it.

`process/` fills `Gauges`; nothing here knows what the values are read from.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ... import __version__
from . import families
from .cells import ABSENT, Cells, CellStorage, Key
from .families import MetricFamily, MetricKind
from .labels import OTHER, LabelValues

_PAGE_SIZE: Final = os.sysconf("SC_PAGE_SIZE")


class DeploymentGauges(msgspec.Struct, frozen=True):
    """`name` is "provider/model", `state` a breaker's; the last three only grow."""

    name: str
    state: str
    available: bool
    in_flight: int
    opens: int
    rejected: int
    retry_budget_exhausted: int


class SlotGauges(msgspec.Struct, frozen=True):
    """`of` names what the slots limit; a `limit` of None is no limit."""

    of: str
    held: int
    waiting: int
    limit: int | None


class LogGauges(msgspec.Struct, frozen=True):
    """Records: `waiting` now, and since the process began those written, journaled, dropped.

    `journal_bytes` are on disk now; `captures_written` and `captures_dropped` are whole requests
    of the debug log.
    """

    waiting: int
    written: int
    journaled: int
    dropped: int
    failing: bool
    journal_bytes: int = 0
    captures_written: int = 0
    captures_dropped: int = 0


class EntryGauges(msgspec.Struct, frozen=True):
    """Requests before they begin: how many wait and for how long, how many got no turn at all."""

    waiting: int
    wait: float
    turned_away: int


class LimitGauges(msgspec.Struct, frozen=True):
    """Limits that processes share: whether this one cannot, and what it has decided by itself."""

    degraded: bool
    alone: int


class BudgetGauges(msgspec.Struct, frozen=True):
    """The budget of a "token" or a "team", in US dollars of its present window."""

    of: str
    name: str
    window: str
    limit: float
    spent: float
    left: float


class Gauges(msgspec.Struct, frozen=True, kw_only=True):
    """`loop_lag` is in seconds, `reloaded_at` Unix seconds.

    `unserved` are requests to paths that are not served, by method, path and status, since the
    process began; their number is bounded.
    """

    in_flight: int
    loop_lag: float
    deployments: Sequence[DeploymentGauges]
    slots: Sequence[SlotGauges]
    entry: EntryGauges | None = None
    log: LogGauges | None = None
    cache_entries: int = 0
    cache_bytes: int = 0
    config_generation: int = 1
    reloaded_at: float | None = None
    reload_ok: bool = True
    unserved: Mapping[tuple[str, str, str], int] = {}
    budgets: Sequence[BudgetGauges] = ()
    refused_keys: int = 0
    limits: LimitGauges | None = None


class GapHistogram(msgspec.Struct, frozen=True):
    """Gaps counted since the process began; one count for each bound and one beyond the last.

    `bounds` and `total` are in seconds, the bounds inclusive, rising, and always the same.
    """

    bounds: Sequence[float]
    counts: Sequence[int]
    total: float


class GaugeBoard:
    """Writes gauges into cells, and marks those absent that do not exist any more."""

    def __init__(
        self, storage: CellStorage, deployments: LabelValues, most_budgets: int = 200
    ) -> None:
        self._storage = storage
        self._deployments = deployments
        # A budget that no longer is among those shown keeps its place in the cells.
        self._budgets = {of: LabelValues(most_budgets) for of in ("token", "team")}
        self._cells: dict[Key, Cells] = {}
        self._followed: dict[Key, float] = {}
        self._set: set[Key] = set()
        kinds = families.table(None)
        for key in storage.known():
            # The file was a dead process's before: its counts go on, its state does not.
            family = kinds.get(key[0])
            if family is not None and family.kind is MetricKind.GAUGE:
                storage.open(key, family.size)[0] = ABSENT

    def __repr__(self) -> str:
        return f"<GaugeBoard {len(self._cells)} series>"

    def show(self, gauges: Gauges, gaps: GapHistogram | None, family: MetricFamily | None) -> None:
        """Write all gauges; `family` is that of the gaps."""
        before, self._set = self._set, set()
        self._process()
        self._put(families.IN_FLIGHT, gauges.in_flight)
        self._put(families.LAG, gauges.loop_lag)
        if gauges.entry is not None:
            self._put(families.ENTRY_WAIT, gauges.entry.wait)
            self._put(families.ENTRY_WAITING, gauges.entry.waiting)
            self._follow(families.TURNED_AWAY, gauges.entry.turned_away)
        self._put(families.CACHE_ENTRIES, gauges.cache_entries)
        self._put(families.CACHE_BYTES, gauges.cache_bytes)
        self._put(families.GENERATION, gauges.config_generation)
        self._put(families.RELOAD_OK, gauges.reload_ok)
        if gauges.reloaded_at is not None:
            self._put(families.RELOADED, gauges.reloaded_at)
        for deployment in gauges.deployments:
            self._deployment(deployment)
        for slots in gauges.slots:
            self._put(families.HELD, slots.held, slots.of)
            self._put(families.WAITING, slots.waiting, slots.of)
            if slots.limit is not None:
                self._put(families.LIMIT, slots.limit, slots.of)
        for labels, count in gauges.unserved.items():
            self._follow(families.UNSERVED, count, *labels)
        for budget in gauges.budgets:
            self._budget(budget)
        self._follow(families.REFUSED_KEYS, gauges.refused_keys)
        if gauges.limits is not None:
            self._put(families.LIMITS_DEGRADED, gauges.limits.degraded)
            self._follow(families.LIMITS_ALONE, gauges.limits.alone)
        if gauges.log is not None:
            self._log(gauges.log)
        if gaps is not None and family is not None:
            for index, value in enumerate((*gaps.counts, gaps.total)):
                self._follow(family, value, index=index)
        for key in before - self._set:
            self._cells[key][0] = ABSENT

    def _process(self) -> None:
        self._put(families.BUILD, 1, __version__, platform.python_version())
        self._put(families.WORKERS, 1)
        self._follow(families.CPU, time.process_time())
        resident = _resident()
        if resident is not None:
            self._put(families.MEMORY, resident)

    def _deployment(self, deployment: DeploymentGauges) -> None:
        name = self._deployments.add(deployment.name)
        self._put(families.BREAKER, families.STATES[deployment.state], name)
        self._put(families.AVAILABLE, deployment.available, name)
        self._put(families.DEPLOYMENT_IN_FLIGHT, deployment.in_flight, name)
        self._follow(families.OPENS, deployment.opens, name)
        self._follow(families.REJECTED, deployment.rejected, name)
        self._follow(families.EXHAUSTED, deployment.retry_budget_exhausted, name)

    def _budget(self, budget: BudgetGauges) -> None:
        name = self._budgets[budget.of].add(budget.name)
        if name == OTHER:
            # Budgets cannot be added up: one that has no place is not shown.
            return
        labels = budget.of, name, budget.window
        self._put(families.BUDGET_LIMIT, budget.limit, *labels)
        self._put(families.BUDGET_SPENT, budget.spent, *labels)
        self._put(families.BUDGET_LEFT, budget.left, *labels)

    def _log(self, log: LogGauges) -> None:
        self._put(families.LOG_QUEUE, log.waiting)
        self._put(families.LOG_FAILING, log.failing)
        self._follow(families.LOG_WRITTEN, log.written)
        self._follow(families.LOG_JOURNALED, log.journaled)
        self._follow(families.LOG_DROPPED, log.dropped)
        self._put(families.JOURNAL, log.journal_bytes)
        self._follow(families.CAPTURES_WRITTEN, log.captures_written)
        self._follow(families.CAPTURES_DROPPED, log.captures_dropped)

    def _put(self, family: MetricFamily, value: float, *labels: str) -> None:
        key = (family.name, *labels)
        self._open(family, key)[0] = float(value)
        self._set.add(key)

    def _follow(self, family: MetricFamily, total: float, *labels: str, index: int = 0) -> None:
        """Add to a cell what `total`, which is counted elsewhere, has grown by.

        The cell may have begun with what a dead process counted. A total that is lower than
        last time has started again from 0, as happens to a deployment that was removed and added.
        """
        key = (family.name, *labels)
        seen = (*key, str(index))
        before = self._followed.get(seen, 0.0)
        cells = self._open(family, key)
        if total != before:
            cells[index] += total - before if total > before else total
            self._followed[seen] = total

    def _open(self, family: MetricFamily, key: Key) -> Cells:
        cells = self._cells.get(key)
        if cells is None:
            cells = self._cells[key] = self._storage.open(key, family.size)
        return cells


def _resident() -> int | None:
    """Return how many bytes of memory this process has; proc(5), the second field."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_SIZE
    except OSError:
        # No descriptor is left for it, which must not end the process.
        return None
