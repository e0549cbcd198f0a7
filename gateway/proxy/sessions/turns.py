"""The requests of a session after its first: each counts in the limits of its caller.

A session has a place among the requests of its caller for as long as it is open. A further request
in it takes that place again, so that all limits are asked as for any request. What was used is
settled at the session's end.
"""

from __future__ import annotations

from ...core.limits.ledger import Demand
from ...errors import GatewayError
from ..admission import take_turn
from ..exchange import Exchange
from ..reservation import Reservation


class SessionTurns:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        # What the request has reserved that is under way now; None: the first one.
        self._turn: Reservation | None = None
        self._begun = False

    def __repr__(self) -> str:
        return f"<SessionTurns {self._turn!r}>"

    async def begin(self, demand: Demand) -> GatewayError | None:
        """Begin a request; return why it may not."""
        exchange = self._exchange
        if not self._begun or not exchange.caller.scopes:
            self._begun = True
            return None
        first = exchange.settlement.reservation
        if self._turn is not None:
            await self._turn.settle(demand.tokens, 0)
        elif first is not None:
            await first.release()
        self._turn = None
        try:
            self._turn = await take_turn(exchange, demand)
        except GatewayError as exc:
            return exc
        return None

    async def end(self) -> None:
        """Give back what the last request has reserved."""
        if self._turn is not None:
            await self._turn.settle(0, 0)
