"""One attempt's place with a deployment: all that it must hold to be sent, given back once.

    a slot of the provider             waited for, in a fair queue
    a share of the provider's limits   requests and tokens per minute
    leave of the retry budget          for all but a request's first attempt
    the breaker's permit               of which there is one while it is half open
    one of the provider's keys

What is refused is no attempt: nothing was sent, and the request goes on to another deployment.
"""

from __future__ import annotations

import enum
import time

import msgspec
import structlog
import trio

from ...config.snapshot import Snapshot
from ...core.limits.ledger import Demand, Grant, LimitRefusal
from ...core.routing.breaker import Permit
from ...core.routing.causes import RULES, Cause
from ...core.routing.deployment import Credential, Deployment
from ...core.routing.health import Sample
from ...core.routing.keys import Key
from ...core.routing.target import Target
from ...errors import Overloaded
from ..outcomes import Failed
from ..services import Services
from ..traffic.slots import SlotLease

_log = structlog.get_logger(__name__)


class SkipReason(enum.Enum):
    """What kept an attempt from being sent."""

    CIRCUIT_OPEN = "circuit_open"
    RATE_LIMITED = "rate_limited"  # the provider said so to all keys
    KEYS_REFUSED = "keys_refused"
    BUSY = "busy"  # what the configuration allows the provider is taken
    RETRY_BUDGET = "retry_budget"


class Skipped(msgspec.Struct, frozen=True):
    """An attempt that was not let through; `until` is when it might be, if that is known."""

    why: SkipReason
    until: float | None = None


class AttemptLease:
    """What one attempt holds. Ends in `leave`, which awaits nothing."""

    __slots__ = (
        "_charged",
        "_grant",
        "_key",
        "_permit",
        "_services",
        "_slot",
        "credential",
        "deployment",
        "probes",
        "target",
    )

    def __init__(
        self,
        services: Services,
        deployment: Deployment,
        target: Target,
        slot: SlotLease,
        grant: Grant | None,
        permit: Permit,
        key: Key,
        *,
        charged: bool,
    ) -> None:
        self.deployment = deployment
        self.target = target
        self.credential: Credential = deployment.credential(key.id)
        self._services = services
        self._slot = slot
        self._grant = grant
        self._permit = permit
        self.probes = permit is Permit.PROBE
        self._key = key
        self._charged = charged

    def __repr__(self) -> str:
        return f"<AttemptLease of {self.deployment.name} with {self._key.label}>"

    def prove(self) -> None:
        """Take note that the deployment has answered, long before its answer ends.

        A breaker that is half open would otherwise wait for a whole stream, twice.
        """
        if self._permit is Permit.PROBE:
            self._permit = Permit.NORMAL
            services = self._services
            services.state.prove(self.target, trio.current_time(), services.rng)

    def leave(
        self, sample: Sample, failed: Failed | None, pool: tuple[Target, ...], tokens: int
    ) -> None:
        """Give everything back, with what the attempt has shown of deployment and key."""
        now, services, target = trio.current_time(), self._services, self.target
        if self._grant is not None:
            services.state.settle(self._grant, tokens, 0, now, time.time())
        if self._charged:
            target.retries.finish()
        # Our own slowness looks like theirs: an answer that is read late seems to come late.
        counts = services.traffic.lag.current(now) <= LAGGING
        services.state.leave(
            target,
            self._permit,
            sample,
            now,
            services.rng,
            retry_after=failed.retry_after if failed else None,
            pool=pool,
            counts=counts,
        )
        self._slot.give()
        self._judge_key(sample.cause, failed, now)

    def has_another_key(self, now: float) -> bool:
        """Say whether the deployment has a usable key beside this attempt's."""
        keyring = self.target.keyring
        return any(key is not self._key and not keyring.rests(key, now) for key in keyring.keys)

    def rest(self, now: float) -> float | None:
        """Return for how long no key of the deployment can be used; None if one can."""
        free = self.target.keyring.free_at()
        return free - now if free > now else None

    def _set_aside(self, failed: Failed, now: float) -> float:
        """Leave a refused key alone; return for how many seconds.

        401 is about the key and nothing else. 402 and 403 may be about this one request: too
        many tokens for what is left, a firewall that dislikes the prompt, a model of a family
        that is not ours. So no single caller can take a deployment's only key away by them.
        """
        keyring, key = self.target.keyring, self._key
        if failed.status not in (402, 403):
            return keyring.refuse(key, now, failed.message, everywhere=True)
        if self.deployment.pattern is not None:
            return 0.0
        if not self.has_another_key(now) and keyring.doubt(key) < DOUBTS:
            return 0.0
        return keyring.refuse(key, now, failed.message, everywhere=False)

    def _judge_key(self, cause: Cause | None, failed: Failed | None, now: float) -> None:
        keyring, key = self.target.keyring, self._key
        if cause is Cause.RATE_LIMITED and failed is not None:
            seconds = keyring.limit(key, now, failed.retry_after)
            _log.info(
                "provider limits a key",
                deployment=self.deployment.name,
                key=key.label,
                seconds=round(seconds, 3),
            )
        elif cause is Cause.AUTH_FAILED and failed is not None:
            known = keyring.why_refused(key) is not None
            seconds = self._set_aside(failed, now)
            log = _log.info if known else _log.error
            log(
                "provider refuses a key; it is set aside" if seconds else "provider refuses a key",
                deployment=self.deployment.name,
                key=key.label,
                seconds=round(seconds, 3),
                error=failed.message,
            )
        elif cause is None or RULES[cause].failure is False:
            keyring.accepted(key, now)


# How often in a row a deployment's only key must be refused before it is set aside for it.
DOUBTS = 3
# Seconds of the event loop's lag above which attempts say nothing of a deployment.
LAGGING = 0.25


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
) -> AttemptLease | Skipped:
    """Take a place with `deployment`, or say what is in the way.

    `later` says that it is not the request's first attempt, `hedge` that another one is under
    way: that one may not go beyond the retry budget however well the deployment is.
    """
    if (skipped := _refused(target, trio.current_time())) is not None:
        return skipped
    slots = services.traffic.provider(deployment.provider)
    if not slots.take_now():
        if hedge:
            # Nobody depends on it: it would only keep others waiting.
            return Skipped(SkipReason.BUSY)
        try:
            await slots.take(caller, deadline, services.rng)
        except Overloaded as exc:
            return Skipped(SkipReason.BUSY, trio.current_time() + (exc.retry_after or 0.0))
    slot = SlotLease(slots)
    grant: Grant | None = None
    charged = False
    try:
        scope = snapshot.provider_scopes.get(deployment.provider)
        now = trio.current_time()
        if scope is not None:
            granted = await services.state.admit((scope,), demand, now, time.time())
            if isinstance(granted, LimitRefusal):
                slot.give()
                wait = granted.retry_after
                return Skipped(SkipReason.BUSY, None if wait is None else now + wait)
            grant = granted
        skipped = _refused(target, now)
        if skipped is None and later:
            charged = target.retries.withdraw(now, target.in_flight)
            if not charged and (hedge or not target.breaker.steady(now)):
                skipped = Skipped(SkipReason.RETRY_BUDGET)
        if skipped is None:
            key = target.keyring.pick(now)
            permit = await services.state.enter(target, now)
            if permit is not None and key is not None:
                return AttemptLease(
                    services, deployment, target, slot, grant, permit, key, charged=charged
                )
            skipped = Skipped(SkipReason.CIRCUIT_OPEN, target.breaker.retry_at(now))
    except BaseException:
        _undo(services, target, slot, grant, charged=charged)
        raise
    _undo(services, target, slot, grant, charged=charged)
    return skipped


def _refused(target: Target, now: float) -> Skipped | None:
    if not target.breaker.available(now):
        target.clear = False
        target.breaker.rejected += 1
        return Skipped(SkipReason.CIRCUIT_OPEN, target.breaker.retry_at(now))
    if not target.keyring.usable(now):
        target.clear = False
        why = SkipReason.KEYS_REFUSED if target.keyring.all_refused else SkipReason.RATE_LIMITED
        return Skipped(why, target.keyring.free_at())
    return None


def _undo(
    services: Services, target: Target, slot: SlotLease, grant: Grant | None, *, charged: bool
) -> None:
    if grant is not None:
        services.state.void(grant, trio.current_time(), time.time())
    if charged:
        target.retries.finish()
    slot.give()
