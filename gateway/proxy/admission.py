"""Whether a request may go on: the caller's limits in one step, and a place in the gateway.

The place is a part of that step where processes share their limits and nobody waits for one.
"""

from __future__ import annotations

from types import TracebackType

import trio

from ..core.limits.ledger import Demand, LimitKind, LimitRefusal
from ..errors import GatewayError, QuotaExceeded, RateLimited
from .exchange import Exchange
from .protocols import OpaqueGrant
from .reservation import Reservation
from .traffic.slots import JointSlot, SlotLease, Slots


async def admit(
    exchange: Exchange, demand: Demand, deadline: float, *, lasting: bool = False
) -> Admission:
    """Let the request in. Raises RateLimited and QuotaExceeded (429), Overloaded (503).

    `deadline` is when it is too late to start, in Trio's time. A refusal charges nothing: what the
    limits have reserved is given back if there is no slot. `lasting` says that the request needs
    its slot for longer than what is reserved now.
    """
    caller, services = exchange.caller, exchange.services
    everyone = services.traffic.everyone
    reservation: Reservation | None = None
    if caller.scopes:
        reservation, slot = await _turn(exchange, demand, None if lasting else everyone)
        if slot is not None:
            exchange.take_place(reservation, slot)
            return Admission(exchange)
    if not everyone.acquire_nowait():
        try:
            with trio.CancelScope() as scope:
                exchange.cut_by(scope)
                await everyone.acquire(caller.name, deadline, services.rng)
            if scope.cancelled_caught:
                raise exchange.stopped()
        except BaseException:
            if reservation is not None:
                await reservation.void()
            raise
    exchange.take_place(reservation, SlotLease(everyone))
    return Admission(exchange)


async def take_turn(exchange: Exchange, demand: Demand) -> Reservation:
    """Reserve `demand` with the caller's limits. Raises RateLimited and QuotaExceeded (429)."""
    reservation, _ = await _turn(exchange, demand, None)
    return reservation


async def _turn(
    exchange: Exchange, demand: Demand, slots: Slots | None
) -> tuple[Reservation, JointSlot | None]:
    """Reserve `demand`, and a place among `slots` if that can be asked for in the same breath."""
    caller, services = exchange.caller, exchange.services
    limits, reservations = services.limits, services.traffic.reservations
    joint: JointSlot | None = None

    async def ask() -> OpaqueGrant | LimitRefusal:
        nonlocal joint
        joint = None if slots is None else slots.beside()
        if joint is not None:
            granted = await joint.ask(limits, caller.scopes, demand, reservations.seconds)
            if granted is not None:
                return granted
            joint = None
        return await limits.admit(caller.scopes, demand, reservations.seconds)

    granted = await services.traffic.turns.admitted(caller.scopes, ask)
    if isinstance(granted, LimitRefusal):
        raise _refusal(granted)
    return reservations.hold(limits, granted), joint


class Admission:
    """A slot in the gateway, for as long as the `async with` lasts or until the last write.

    What the limits reserved is settled by the exchange, once its use is known.
    """

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._exchange.give_place()


def _refusal(refusal: LimitRefusal) -> GatewayError:
    if refusal.kind is LimitKind.BUDGET:
        return QuotaExceeded(refusal.message, retry_after=refusal.retry_after)
    kind = "tokens" if refusal.kind is LimitKind.TOKENS else "requests"
    return RateLimited(refusal.message, kind=kind, retry_after=refusal.retry_after)
