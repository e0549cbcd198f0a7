"""Money per calendar window, in integer nano-dollars.

Windows are calendar ones in UTC, since bills are: a day, an ISO week (from Monday), a month, or
all time. A cost counts when it is known: an answer that ends after midnight is charged to the
new day, and what it had reserved of the old one is gone with the old one.

While a request is under way, what it may cost is reserved. Requests are admitted as long as spent
and reserved money together are less than the budget. So all requests under way cost no more than
was left, but for the last one admitted, which may cost more than was left for it, and for those
that cost more than was reserved, since they did not say how long their answers may become.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

Window = Literal["day", "week", "month", "total"]

NANO_PER_USD: Final = 1_000_000_000
DAY: Final = 86_400  # seconds; Unix time has no leap seconds

# A sixteenth of the dearest cost is forgotten with each cheaper request: half of it with eleven.
_FORGETTING: Final = 4


class Budget(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """At most `usd` in each `window`. A billion is as good as none, and fits into 64 bits."""

    usd: Annotated[float, Meta(gt=0, le=1e9)]
    window: Window = "month"

    @property
    def nano(self) -> int:
        """Return the budget in nano-dollars, at least one."""
        return max(1, round(self.usd * NANO_PER_USD))


def bounds(window: Window, epoch: float) -> tuple[float, float]:
    """Return when the window around `epoch` starts and ends, in Unix seconds; the end is out."""
    if window == "total":
        return -math.inf, math.inf
    if window == "month":
        here = datetime.fromtimestamp(epoch, UTC)
        first = datetime(here.year, here.month, 1, tzinfo=UTC)
        then = datetime(here.year + here.month // 12, here.month % 12 + 1, 1, tzinfo=UTC)
        return first.timestamp(), then.timestamp()
    day = math.floor(epoch / DAY)
    if window == "day":
        return float(day * DAY), float((day + 1) * DAY)
    # 1970-01-01 was a Thursday, three days into its week.
    monday = day - (day + 3) % 7
    return float(monday * DAY), float((monday + 7) * DAY)


class BudgetLevel(msgspec.Struct, frozen=True, gc=False):
    """What is spent and reserved of a budget, in nano-dollars; in how many seconds it begins anew.

    That is None for one that never does.
    """

    limit: int
    spent: int
    reserved: int
    reset: float | None

    @property
    def left(self) -> int:
        """Return what is neither spent nor reserved, at least 0."""
        return max(0, self.limit - self.spent - self.reserved)


class Spending(msgspec.Struct, gc=False):
    """What `budget` has spent and reserved in one window, in nano-dollars.

    `usual` is what the dearest of the last requests cost; it sinks with each cheaper one.
    When the window is over another takes its place. A reserve is given back to the window that
    it was made in: one that outlives its window changes nothing in the next.
    """

    budget: Budget
    starts: float
    ends: float
    limit: int
    spent: int = 0
    reserved: int = 0
    usual: int = 0

    @property
    def exhausted(self) -> bool:
        # Not `+ cost > limit`: a request that says too much would make the last of a budget
        # unusable for good. The excess is at most what one request costs more than was left.
        return self.spent + self.reserved >= self.limit

    def spend(self, cost: int) -> None:
        """Charge what a request cost."""
        self.spent += cost
        if cost:
            self.usual = max(cost, self.usual - (self.usual >> _FORGETTING))

    def level(self, epoch: float) -> BudgetLevel:
        """Return what is left at `epoch`, which is in this window."""
        reset = None if self.ends == math.inf else self.ends - epoch
        return BudgetLevel(self.limit, self.spent, self.reserved, reset)

    def at(self, epoch: float) -> Spending:
        """Return the spending that counts at `epoch`: this one, or that of a new window."""
        if self.starts <= epoch < self.ends:
            return self
        if epoch >= self.ends:
            new = begin(self.budget, epoch)
            new.usual = self.usual
            return new
        # The clock was set back. What is spent stays spent, but only until the window ends by the
        # new time: a clock that was a year ahead for a second must not lock a caller out for a
        # year.
        self.starts, self.ends = bounds(self.budget.window, epoch)
        return self

    def under(self, budget: Budget, epoch: float) -> Spending:
        """Return the spending to go on with when `budget` has taken the place of the old one.

        Another amount keeps what is spent. Another window begins with nothing: what a day has
        cost says little of its month, and what a month has would use up any day.
        """
        if budget.window != self.budget.window:
            return begin(budget, epoch)
        self.budget, self.limit = budget, budget.nano
        return self


def begin(budget: Budget, epoch: float) -> Spending:
    """Return the spending of nothing, in the window of `budget` around `epoch`."""
    return Spending(budget, *bounds(budget.window, epoch), budget.nano)
