"""Whether a request may go on: the caller's limits in one step, then a place in the gateway."""

from __future__ import annotations

import time
from types import TracebackType

import trio

from ..core.limits.ledger import Demand, Grant, LimitKind, LimitRefusal
from ..errors import GatewayError, QuotaExceeded, RateLimited
from .exchange import Exchange
from .traffic.slots import SlotLease


async def admit(exchange: Exchange, demand: Demand, deadline: float) -> Admission:
    """Let the request in. Raises RateLimited and QuotaExceeded (429), Overloaded (503).

    A refusal charges nothing: what the limits gave is given back if there is no place.
    """
    caller, services = exchange.caller, exchange.services
    grant: Grant | None = None
    if caller.scopes:
        granted = await services.state.admit(
            caller.scopes, demand, trio.current_time(), time.time()
        )
        if isinstance(granted, LimitRefusal):
            raise _refusal(granted)
        grant = granted
    everyone = services.traffic.everyone
    if not everyone.take_now():
        try:
            with trio.CancelScope() as scope:
                exchange.cut_by(scope)
                await everyone.take(caller.name, deadline, services.rng)
            if scope.cancelled_caught:
                raise exchange.shutting_down()
        except BaseException:
            if grant is not None:
                services.state.void(grant, trio.current_time(), time.time())
            raise
    exchange.take_place(grant, SlotLease(everyone))
    return Admission(exchange)


class Admission:
    """A place in the gateway, for as long as the `with` lasts, or until the answer's last write.

    What the limits reserved is settled by the exchange, once its use is known.
    """

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exchange.give_place()


def _refusal(refusal: LimitRefusal) -> GatewayError:
    if refusal.kind is LimitKind.BUDGET:
        return QuotaExceeded(refusal.message, retry_after=refusal.retry_after)
    kind = "tokens" if refusal.kind is LimitKind.TOKENS else "requests"
    return RateLimited(refusal.message, kind=kind, retry_after=refusal.retry_after)
