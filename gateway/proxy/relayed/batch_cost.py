"""What a batch has cost, charged once: to the request that first gets to see what it has used.

A batch is made in one request and done hours later, and only its results say what it took. So the
request that fetches them has the cost, whichever comes first: the batch that has ended with its
usage, or its results, whole. Every later one costs nothing, also in another process or after a
restart: `ObjectKeeper.claim` says yes once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog
import trio

from ...core.dialects.recognised.batches import BatchUsage
from ...core.records.pricing import Prices
from ...core.records.usage import summed
from ...errors import GatewayError
from ..exchange import Exchange

# Seconds for the database, once the caller has all that it asked for and may have left.
_PATIENCE: Final = 5.0
_log = structlog.get_logger(__name__)


class BatchCost:
    """Of the batch `id`. `prices` returns those of a model in batches.

    `results` says that its results go by; else it is the batch itself, of which `usage` is set.
    """

    def __init__(
        self, exchange: Exchange, id: str, prices: Callable[[str], Prices], *, results: bool
    ) -> None:
        self.usage = BatchUsage()
        self._results = results
        self._exchange = exchange
        self._id = id
        self._prices = prices

    def __repr__(self) -> str:
        return f"<BatchCost of {self._id}: {self.usage}>"

    def feed(self, data: bytes) -> None:
        """Look at the next bytes of the results."""
        if self._results:
            self.usage.feed(data)

    async def charge(self) -> None:
        """Charge the batch, if that has not been done; its results have gone by whole."""
        self.usage.end()
        found = self.usage.by_model
        if not found and self.usage.whole:
            return
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _PATIENCE) as scope:
            try:
                if not await self._exchange.services.objects.claim(self._id):
                    return
            except GatewayError as exc:
                # The next one to fetch them will be charged.
                _log.warning("what a batch has cost is not on record yet", error=exc.message)
                return
        if scope.cancelled_caught:
            return
        if not self.usage.whole:
            self._exchange.settlement.spent(None, Prices())
            return
        models = [*found]
        prices = [self._prices(model) for model in models]
        settlement = self._exchange.settlement
        settlement.spent(summed([found[each] for each in models], partial=False), together(prices))


def together(prices: list[Prices]) -> Prices:
    """Return the prices of a sum whose parts have `prices`."""
    sources = dict.fromkeys(each.source for each in prices if each.source)
    return Prices(parts=tuple(prices), source=", ".join(sources))
