"""What this process has learned of deployments: breakers, keys, retry budgets, latencies.

`Health` in `proxy/protocols.py` is what requests ask and report, `LearnedState` in
`config/snapshot.py` what a configuration is built from. All of it is local to the process and
waits for nothing. A process is better judged by its own attempts: another one's network, keys and
load are not its own, and each breaker learns within a few requests.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from weakref import WeakValueDictionary

from ..core.routing.attempts import RetryPolicy
from ..core.routing.backoff import Rng
from ..core.routing.balancing.strategies import Balancer, PoolMember, StrategyName, balancer
from ..core.routing.blame.source import Source
from ..core.routing.breaker.policy import BreakerPolicy
from ..core.routing.breaker.states import Permit
from ..core.routing.causes import Cause, Skipped, SkipReason
from ..core.routing.deployment import Credential, Deployment
from ..core.routing.entered import Entered
from ..core.routing.health import DeploymentStatus, Sample
from ..core.routing.hedging import HedgeCap
from ..core.routing.keys import Key
from ..core.routing.target import Target
from .health_log import log_abandoned, log_suspect
from .key_verdicts import judge_key
from .trouble_log import TroubleLog

_BalancerKey = tuple[StrategyName, tuple[tuple[str, float, float], ...]]


class LocalHealth:
    """One process's knowledge of its deployments. Times are Trio's seconds."""

    def __init__(
        self, breaker: BreakerPolicy | None = None, retry: RetryPolicy | None = None
    ) -> None:
        self._breaker = breaker or BreakerPolicy()
        self._budget = (retry or RetryPolicy()).budget
        self._targets: dict[str, Target] = {}
        self._keys: dict[tuple[str, str], Key] = {}
        self._balancers: dict[_BalancerKey, Balancer] = {}
        self._trouble = TroubleLog()
        # What operators have taken out and until when, whether a configuration has it or not.
        self._drained: dict[str, float] = {}
        # Each as long as a snapshot has it, so that no reload needs to forget them.
        self._hedge_caps: WeakValueDictionary[str, HedgeCap] = WeakValueDictionary()

    def __repr__(self) -> str:
        return f"<LocalHealth of {len(self._targets)} targets>"

    @property
    def targets(self) -> Iterator[Target]:
        return iter(tuple(self._targets.values()))

    # What snapshots point to...

    def target(self, deployment: Deployment) -> Target:
        """Return what is known of `deployment`, from now on with its present keys."""
        keys = [self._key(deployment.provider, each) for each in deployment.credentials]
        target = self._targets.get(deployment.state_key)
        if target is None:
            target = Target(deployment.state_key, keys, self._breaker, self._budget)
            self._targets[deployment.state_key] = target
            target.drain(self._drained.get(target.name, -math.inf))
        elif target.keyring.keys != tuple(keys):
            target.keyring.replace(keys)
        return target

    def balancer(
        self, strategy: StrategyName, deployments: Sequence[Deployment], targets: Sequence[Target]
    ) -> Balancer:
        """Return the one that balances exactly these already, or a new one."""
        shape = tuple((each.state_key, each.weight, _price(each)) for each in deployments)
        found = self._balancers.get((strategy, shape))
        if found is None:
            members = [
                PoolMember(load=target, weight=weight, price=price, seed=name.encode())
                for target, (name, weight, price) in zip(targets, shape, strict=True)
            ]
            found = self._balancers[strategy, shape] = balancer(strategy, members)
        return found

    def hedge_cap(self, model: str) -> HedgeCap:
        return self._hedge_caps.setdefault(model, HedgeCap())

    # What attempts ask and report...

    def check(
        self,
        target: Target,
        now: float,
        source: Source | None = None,
        *,
        pool: Sequence[Target] = (),
    ) -> Skipped | None:
        if target.unavailable(now, source) is None:
            return None
        return target.refusal(now, source, alone=target.alone(now, source, pool))

    def unavailable(
        self, target: Target, now: float, source: Source | None = None
    ) -> Skipped | None:
        return target.unavailable(now, source)

    def enter(
        self,
        target: Target,
        deployment: Deployment,
        now: float,
        *,
        later: bool = False,
        hedge: bool = False,
        source: Source | None = None,
        pool: Sequence[Target] = (),
    ) -> Entered | Skipped:
        # That others are looked at is needed by very few attempts.
        alone = False
        if target.unavailable(now, source) is not None:
            alone = target.alone(now, source, pool)
            skipped = target.refusal(now, source, alone=alone)
            if skipped is not None:
                return skipped
        retries, charged = target.retries, False
        if later:
            charged = retries.withdraw(now, target.in_flight)
            if not charged and (hedge or not target.steady(now)):
                return Skipped(SkipReason.RETRY_BUDGET)
        key = target.keyring.pick(now, source)
        permit = None if key is None else target.enter(now, alone=alone)
        if key is None or permit is None:
            if charged:
                retries.finish()
            return Skipped(SkipReason.CIRCUIT_OPEN, target.breaker.retry_at(now))
        if not later:
            retries.deposit(now)
        probes = permit is Permit.PROBE
        if probes:
            self._trouble.breaker(target, now)
        entered = Entered(target, deployment, key, permit, probes, charged, source)
        if source is not None and target.suspects.known:
            entered.probes |= self._suspected(entered, source, now, alone=alone)
        if entered.probes:
            # Without another deployment it is the request's own choice, and no test for others.
            entered.probes = not (alone or target.alone(now, source, pool))
        return entered

    def _suspected(self, entered: Entered, source: Source, now: float, *, alone: bool) -> bool:
        """Take what an attempt must hold of its caller's own breaker; say if it is a test."""
        suspects = entered.target.suspects
        held = entered.held = suspects.enter(source, now, alone=alone)
        own = held is not None and held.permit is not Permit.NORMAL
        if not own and suspects.kept_out is not None:
            entered.trial = True
            suspects.try_out(now)
        return entered.trial or (held is not None and held.permit is Permit.PROBE)

    def answered(self, entered: Entered, now: float, rng: Rng) -> None:
        suspects = entered.target.suspects
        if entered.held is not None:
            suspects.answered(entered.held, now, rng)
        if entered.trial:
            entered.trial = False
            suspects.tried(now)
            suspects.start_over()
        if entered.permit is not Permit.NORMAL:
            permit, entered.permit = entered.permit, Permit.NORMAL
            entered.target.answered(permit, now, rng)
            self._trouble.breaker(entered.target, now)

    def leave(
        self,
        entered: Entered,
        sample: Sample,
        now: float,
        rng: Rng,
        *,
        pool: Sequence[Target] = (),
        counts: bool = True,
    ) -> None:
        target = entered.target
        if entered.charged:
            target.retries.finish()
        if entered.trial:
            target.suspects.tried(now)
        failed = sample.cause is not None
        alone = failed and target.alone(now, entered.source, pool)
        # Half of a pool at most is left out for its rate of failures: beyond that the fault is
        # rarely theirs, and half the answers are better than none. The last one left is not left
        # out at all but throttled.
        out = sum(each.breaker.ejected_by_rate for each in pool) if failed else 0
        closed_to = target.leave(
            entered.permit,
            sample,
            now,
            rng,
            retry_after=sample.retry_after,
            by_rate=alone or 2 * (out + 1) <= len(pool),
            alone=alone,
            counts=counts,
            source=entered.source,
            held=entered.held,
        )
        self._trouble.left(target, sample, now, counts=counts)
        if closed_to is not None:
            log_suspect(entered, closed_to, sample, now)
        if sample.cause is Cause.ABANDONED and counts:
            log_abandoned(entered, sample)
        judge_key(entered, sample, now)

    def abandoned(self, entered: Entered, seconds: float, *, whole: bool) -> bool:
        return entered.target.patience.exceeded(Sample(Cause.CLIENT_GONE, seconds, whole=whole))

    def has_another_key(self, entered: Entered, now: float) -> bool:
        keyring, source = entered.target.keyring, entered.source
        return any(
            key is not entered.key
            and not keyring.rests(key, now)
            and (source is None or not keyring.doubted(key, source))
            for key in keyring.keys
        )

    def key_refused(self, entered: Entered) -> bool:
        return entered.target.keyring.why_refused(entered.key) is not None

    def keys_rest(self, entered: Entered, now: float) -> float | None:
        free = entered.target.keyring.free_at()
        return free - now if free > now else None

    def usual_first_event(self, target: Target) -> float | None:
        return target.usual.p95

    # What active checks report...

    def probe_succeeded(self, provider: str, now: float) -> None:
        for target in self._of(provider):
            target.breaker.invite(now)

    def probe_failed(self, provider: str, now: float, rng: Rng) -> None:
        for target in self._of(provider):
            target.breaker.trip(now, rng)
            self._trouble.breaker(target, now)

    def drain(self, until: Mapping[str, float]) -> None:
        """Take these targets out until those times, by name, and let all others in."""
        self._drained = dict(until)
        for target in self.targets:
            target.drain(until.get(target.name, -math.inf))

    def reset(self, name: str, now: float) -> None:
        """Close the breaker of a target, if there is one of that name."""
        if (target := self._targets.get(name)) is not None:
            target.reset(now)
            self._trouble.breaker(target, now)

    # What reports and reloads need...

    def status(self, now: float) -> list[DeploymentStatus]:
        return [target.status(now) for target in self._targets.values()]

    def configure(self, breaker: BreakerPolicy, retry: RetryPolicy) -> None:
        """Take new policies; what has been learned stays."""
        self._breaker, self._budget = breaker, retry.budget
        for target in self._targets.values():
            target.breaker.policy = target.suspects.policy = breaker
            target.retries.policy = retry.budget

    def retain(self, targets: Collection[Target]) -> None:
        """Forget what no configuration knows any more; requests in flight keep theirs."""
        kept = {target.name for target in targets}
        self._trouble.forget(kept)
        self._targets = {name: each for name, each in self._targets.items() if name in kept}
        keys = {key for target in targets for key in target.keyring.keys}
        self._keys = {name: key for name, key in self._keys.items() if key in keys}
        self._balancers = {
            (strategy, shape): each
            for (strategy, shape), each in self._balancers.items()
            if all(name in kept for name, _, _ in shape)
        }

    def _of(self, provider: str) -> Iterator[Target]:
        return (each for each in self.targets if each.name.startswith(f"{provider}/"))

    def _key(self, provider: str, credential: Credential) -> Key:
        found = self._keys.get((provider, credential.id))
        if found is None:
            found = self._keys[provider, credential.id] = Key(credential.id, credential.label)
        found.label = credential.label
        return found


def _price(deployment: Deployment) -> float:
    # What is not known may be dear: `cheapest` takes it last.
    price = deployment.prices.together
    return math.inf if price is None else price
