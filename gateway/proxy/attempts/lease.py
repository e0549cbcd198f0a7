"""One attempt's place with a deployment: all that it must hold to be sent, given back once.

    a slot of the provider             waited for, in a fair queue
    a share of the provider's limits   requests and tokens per minute
    a place in the retry budget        for all but a request's first attempt
    the breaker's permit               of which there is one while it is half open
    one of the provider's keys

What is refused is no attempt: nothing was sent, and the request goes on to another deployment.
"""

from __future__ import annotations

from typing import Final

import trio

from ...config.snapshot import Snapshot
from ...core.limits.ledger import Demand, LimitRefusal, Scope
from ...core.routing.backoff import Rng
from ...core.routing.blame.source import Source
from ...core.routing.causes import Skipped, SkipReason
from ...core.routing.deployment import Credential, Deployment
from ...core.routing.entered import Entered
from ...core.routing.health import Sample
from ...core.routing.target import Target
from ...errors import Overloaded
from ..protocols import OpaqueGrant
from ..reservation import Reservation
from ..services import Services
from ..traffic.slots import SlotLease, Slots

# Seconds of the event loop's lag above which attempts say nothing of a deployment.
LAGGING: Final = 0.25


class AttemptLease:
    """What one attempt holds. Ends in `leave`."""

    __slots__ = (
        "_entered",
        "_reservation",
        "_services",
        "_slot",
        "credential",
        "deployment",
        "probes",
    )

    def __init__(
        self,
        services: Services,
        deployment: Deployment,
        slot: SlotLease,
        reservation: Reservation | None,
        entered: Entered,
    ) -> None:
        self.deployment = deployment
        self.credential: Credential = deployment.credential(entered.key_id)
        self.probes = entered.probes
        self._services = services
        self._slot = slot
        self._reservation = reservation
        self._entered = entered

    def __repr__(self) -> str:
        return f"<AttemptLease of {self.deployment.name} with {self._entered.key_label}>"

    def answered(self, now: float) -> None:
        """Take note that the deployment has answered, long before its answer ends.

        A breaker that is half open would otherwise wait for a whole stream, twice.
        """
        services = self._services
        services.health.answered(self._entered, now, services.rng)

    async def leave(self, sample: Sample, pool: tuple[Target, ...], tokens: int) -> None:
        """Give everything back, with what the attempt has shown of deployment and key.

        Only the provider's limits are awaited, last and shielded: a cancelled holder leaves too.
        """
        now, services = trio.current_time(), self._services
        # Our own slowness looks like theirs: an answer that is read late seems to come late.
        counts = services.traffic.lag.current(now) <= LAGGING
        services.health.leave(self._entered, sample, now, services.rng, pool=pool, counts=counts)
        self._slot.release()
        if self._reservation is not None:
            await self._reservation.settle(tokens, 0)

    def abandoned(self, seconds: float, *, whole: bool) -> bool:
        """Say whether `seconds` without a first event are longer than usual."""
        return self._services.health.abandoned(self._entered, seconds, whole=whole)

    def has_another_key(self, now: float) -> bool:
        """Say whether the deployment has a usable key beside this attempt's."""
        return self._services.health.has_another_key(self._entered, now)

    def key_refused(self) -> bool:
        """Say whether the attempt's key is set aside, since the provider does not take it."""
        return self._services.health.key_refused(self._entered)

    def keys_rest(self, now: float) -> float | None:
        """Return for how many seconds no key of the deployment can be used; None if one can."""
        return self._services.health.keys_rest(self._entered, now)


async def acquire_lease(
    services: Services,
    snapshot: Snapshot,
    deployment: Deployment,
    target: Target,
    *,
    caller: str,
    demand: Demand,
    deadline: float,
    later: bool,
    hedge: bool = False,
    source: Source | None = None,
    pool: tuple[Target, ...] = (),
) -> AttemptLease | Skipped:
    """Take a place with `deployment`, or say what is in the way.

    `source` is the caller and the body that it is for, and `pool` all that its request could be
    sent to. `deadline` is when the attempt must be over, in Trio's time. `later` says that it is
    not the request's first attempt, `hedge` that another one is under way: then it may not go
    beyond the retry budget however well the deployment is, nor past an open breaker.
    """
    health = services.health
    if hedge:
        pool = ()
    if (skipped := health.check(target, trio.current_time(), source, pool=pool)) is not None:
        return skipped
    slots = services.traffic.provider(deployment.provider)
    scope = snapshot.provider_scopes.get(deployment.provider)
    place = await _place(services, slots, scope, demand, caller, deadline, hedge=hedge)
    if isinstance(place, Skipped):
        return place
    slot, reservation = place
    entered: Entered | Skipped | None = None
    try:
        now = trio.current_time()
        entered = health.enter(
            target, deployment, now, later=later, hedge=hedge, source=source, pool=pool
        )
        if isinstance(entered, Skipped):
            return entered
        return AttemptLease(services, deployment, slot, reservation, entered)
    finally:
        if not isinstance(entered, Entered):
            slot.release()
            if reservation is not None:
                await reservation.void()


async def _place(
    services: Services,
    slots: Slots,
    scope: Scope | None,
    demand: Demand,
    caller: str,
    deadline: float,
    *,
    hedge: bool,
) -> tuple[SlotLease, Reservation | None] | Skipped:
    """Take a slot and a share of the provider's limits, in one question if that can be."""
    limits, seconds = services.limits, services.traffic.reservations.seconds
    if scope is not None and (joint := slots.beside()) is not None:
        granted = await joint.ask(limits, (scope,), demand, seconds)
        if granted is not None:
            return _taken(services, joint, granted)
        if hedge:
            return Skipped(SkipReason.BUSY)
    if not slots.acquire_nowait():
        skipped = await _wait(slots, caller, deadline, services.rng, hedge=hedge)
        if skipped is not None:
            return skipped
    slot = SlotLease(slots)
    if scope is None:
        return slot, None
    try:
        granted = await limits.admit((scope,), demand, seconds)
    except BaseException:
        slot.release()
        raise
    return _taken(services, slot, granted)


def _taken(
    services: Services, slot: SlotLease, granted: OpaqueGrant | LimitRefusal
) -> tuple[SlotLease, Reservation] | Skipped:
    if isinstance(granted, LimitRefusal):
        slot.release()
        wait = granted.retry_after
        return Skipped(SkipReason.OVER_LIMIT, None if wait is None else trio.current_time() + wait)
    return slot, services.traffic.reservations.hold(services.limits, granted)


async def _wait(
    slots: Slots, caller: str, deadline: float, rng: Rng, *, hedge: bool
) -> Skipped | None:
    """Take a slot that is not to be had at once, or say why not."""
    if hedge:
        # The request has an attempt already: this one would only keep others waiting.
        return None if await slots.acquire_at_once() else Skipped(SkipReason.BUSY)
    try:
        await slots.acquire(caller, deadline, rng)
    except Overloaded as exc:
        return Skipped(SkipReason.BUSY, trio.current_time() + (exc.retry_after or 0.0))
    return None
