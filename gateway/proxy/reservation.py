"""What the limits have reserved for a request or an attempt, to be settled or given back.

The end of a request must reach the limits, wherever they are kept: each call is shielded from
cancellation, and has a deadline of its own. A call that fails costs its caller nothing. It is
logged, and the grant expires by itself (`Limits.admit`).

How long a request lives is known to none of its deadlines: a reader of 2 kB/s takes an hour for a
long answer, also one from the cache. So grants are leases of minutes that are renewed for as long
as their request lives. What is left behind, by a process that died or a mistake of ours, is free
again within those.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Awaitable
from typing import Final

import structlog
import trio

from ..config.callers import Caller
from ..core.limits.headers import rate_limit_headers
from .protocols import Limits, OpaqueGrant

# Seconds for one call. A shared store answers within milliseconds, so this leaves time for a new
# connection to it; and a process that is being stopped waits no longer for its last requests.
SETTLE_TIMEOUT: Final = 1.0
# Seconds for which a grant is good unless it is renewed, and between two renewals. Three may fail.
LEASE_SECONDS: Final = 120.0
RENEW_EVERY: Final = 30.0

_log = structlog.get_logger(__name__)


class Reservation:
    """One grant of `limits`. Every method may be called again, and then does nothing."""

    __slots__ = ("__weakref__", "_grant", "_leased", "_limits", "_placed", "_used")

    def __init__(self, limits: Limits, grant: OpaqueGrant) -> None:
        self._limits = limits
        self._grant: OpaqueGrant | None = grant
        self._leased = True
        self._placed = False
        self._used: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"<Reservation of {self._grant}>"

    @property
    def grant(self) -> OpaqueGrant | None:
        """Return what is still to be settled; None if nothing is."""
        return self._grant

    def taken(self) -> OpaqueGrant | None:
        """Return what is still to be settled, for someone else to end it."""
        grant, self._grant = self._grant, None
        return grant

    def keep_place(self) -> None:
        """Keep the place until it is given back, though the use may be known before that."""
        self._placed = True

    async def release(self) -> None:
        """Let another request have its place; what it reserved stays."""
        if self._leased and self._grant is not None:
            self._leased = False
            if self._used is not None:
                await self.settle(*self._used)
            else:
                await self._tell(self._limits.release(self._grant))

    async def settle(self, tokens: int, cost: int) -> None:
        """Replace the reserve by the tokens and nano-dollars used."""
        if self._placed and self._leased:
            self._used = tokens, cost
            return
        grant, self._grant = self._grant, None
        if grant is not None:
            await self._tell(self._limits.settle(grant, tokens, cost))

    async def void(self) -> None:
        """Give everything back: the request was not let in after all."""
        grant, self._grant = self._grant, None
        if grant is not None:
            await self._tell(self._limits.void(grant))

    async def _tell(self, call: Awaitable[None]) -> None:
        try:
            if not self._limits.waits:
                # A scope costs 8 µs, twice what there is to do.
                await call
                return
            deadline = trio.current_time() + SETTLE_TIMEOUT
            with trio.CancelScope(deadline=deadline, shield=True) as scope:
                await call
        except Exception:  # noqa: BLE001  # the answer and its record go on
            _log.exception("limits were not told of the end of a request")
            return
        if scope.cancelled_caught:
            _log.warning("limits took too long to be told of the end of a request")


class Reservations:
    """The reservations of a process. `keep` renews them, and lets go of those that are forgotten.

    Without `keep` they do not expire.
    """

    def __init__(self) -> None:
        # Weak: what a request has left behind unsettled shall expire, not be renewed for ever.
        self._live: weakref.WeakSet[Reservation] = weakref.WeakSet()
        self._kept = False

    def __repr__(self) -> str:
        return f"<Reservations, {len(self._grants())} under way>"

    @property
    def seconds(self) -> float:
        """Return for how many seconds a grant is to be good at first."""
        return LEASE_SECONDS if self._kept else math.inf

    def hold(self, limits: Limits, grant: OpaqueGrant) -> Reservation:
        """Return the reservation of a `grant` by `limits`, for as long as it is referred to."""
        reservation = Reservation(limits, grant)
        self._live.add(reservation)
        return reservation

    async def keep(self, limits: Limits) -> None:
        """Renew the grants again and again, until cancelled."""
        self._kept = True
        try:
            while True:
                await trio.sleep(RENEW_EVERY)
                with trio.move_on_after(SETTLE_TIMEOUT):
                    await limits.renew(self._grants(), LEASE_SECONDS)
        finally:
            self._kept = False

    def _grants(self) -> list[OpaqueGrant]:
        return [each.grant for each in self._live if each.grant is not None]


async def rate_limits(limits: Limits, caller: Caller) -> list[tuple[bytes, bytes]]:
    """Return the headers that say what a limited `caller` has left."""
    return rate_limit_headers(await limits.status(caller.scopes))
