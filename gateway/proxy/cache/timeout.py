"""A caller whose own time is up while it takes an answer that was not made for it alone."""

from __future__ import annotations

from ...core.records.record import EndReason
from ...errors import ProvidersTimedOut
from ..exchange import Exchange
from ..outcomes import BY_CAUSE


async def report_timeout(exchange: Exchange, *, sealed: bool) -> None:
    """Tell the caller that its deadline, a shutdown or an operator has cut it off.

    Raises the error of it if nothing has been sent; otherwise the answer
    ends as a broken one does, unless its last write had begun and it is `sealed`.
    """
    if exchange.client.status is not None:
        await exchange.conclude(exchange.cut_short(), sealed=sealed)
        return
    cut = exchange.out_of_time()
    if cut.cause in BY_CAUSE:
        raise exchange.stopped()
    exchange.settlement.end(EndReason.TOTAL_TIMEOUT, cut.message)
    raise ProvidersTimedOut(cut.message)
