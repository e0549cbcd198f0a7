"""The state behind limits, breakers and health, in this process's memory.

`proxy/protocols.py` has the contract. What is asked before a request may go on is awaited
there, since a shared store has to be asked; what is only reported is not, since nobody should
wait for bookkeeping. Here nothing ever waits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from weakref import WeakValueDictionary

from ..core.limits.ledger import Demand, Grant, Ledger, LimitRefusal, LimitStatus, Scope
from ..core.routing.attempts import RetryPolicy
from ..core.routing.backoff import Rng
from ..core.routing.balancing.strategies import Balancer, PoolMember, StrategyName, balancer
from ..core.routing.breaker import BreakerPolicy, Permit
from ..core.routing.deployment import Credential, Deployment
from ..core.routing.health import Sample
from ..core.routing.hedging import HedgeCap
from ..core.routing.keys import Key
from ..core.routing.target import Target

_BalancerKey = tuple[StrategyName, tuple[tuple[str, float, float], ...]]


class MemoryState:
    """One process's state. Times are Trio's seconds, `epoch` is Unix time."""

    def __init__(
        self, breaker: BreakerPolicy | None = None, retry: RetryPolicy | None = None
    ) -> None:
        self._breaker = breaker or BreakerPolicy()
        self._budget = (retry or RetryPolicy()).budget
        self._targets: dict[str, Target] = {}
        self._keys: dict[tuple[str, str], Key] = {}
        self._balancers: dict[_BalancerKey, Balancer] = {}
        # Each as long as a snapshot has it, so that no reload needs to forget them.
        self._hedge_caps: WeakValueDictionary[str, HedgeCap] = WeakValueDictionary()
        self.ledger = Ledger()

    def __repr__(self) -> str:
        return f"<MemoryState {len(self._targets)} targets, {self.ledger.held()} held>"

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
        elif target.keyring.keys != tuple(keys):
            target.keyring.replace(keys)
        return target

    def balancer(
        self, strategy: StrategyName, deployments: Sequence[Deployment], targets: Sequence[Target]
    ) -> Balancer:
        """Return the one that balances exactly these already, or a new one."""
        shape = tuple(
            (each.state_key, each.weight, each.prices.input + each.prices.output)
            for each in deployments
        )
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

    def configure(self, breaker: BreakerPolicy, retry: RetryPolicy) -> None:
        """Take new policies; what has been learned stays."""
        self._breaker, self._budget = breaker, retry.budget
        for target in self._targets.values():
            target.breaker.policy = breaker
            target.retries.policy = retry.budget

    def retain(self, targets: Collection[Target], scopes: Collection[str]) -> None:
        """Forget what no configuration knows any more; requests in flight keep theirs."""
        kept = {target.name for target in targets}
        self._targets = {name: each for name, each in self._targets.items() if name in kept}
        keys = {key for target in targets for key in target.keyring.keys}
        self._keys = {name: key for name, key in self._keys.items() if key in keys}
        self._balancers = {
            (strategy, shape): each
            for (strategy, shape), each in self._balancers.items()
            if all(name in kept for name, _, _ in shape)
        }
        self.ledger.retain(scopes)

    # What requests ask and report...

    async def admit(
        self, scopes: Sequence[Scope], demand: Demand, now: float, epoch: float
    ) -> Grant | LimitRefusal:
        return self.ledger.admit(scopes, demand, now, epoch)

    def recall(self, scope: Scope, spent: int, epoch: float) -> None:
        self.ledger.recall(scope, spent, epoch)

    def release(self, grant: Grant) -> None:
        self.ledger.release(grant)

    def settle(self, grant: Grant, tokens: int, cost: int, now: float, epoch: float) -> None:
        self.ledger.settle(grant, tokens, cost, now, epoch)

    def void(self, grant: Grant, now: float, epoch: float) -> None:
        self.ledger.void(grant, now, epoch)

    def standing(self, scope: Scope, now: float) -> LimitStatus:
        return self.ledger.standing(scope, now)

    async def enter(self, target: Target, now: float) -> Permit | None:
        return target.enter(now)

    def prove(self, target: Target, now: float, rng: Rng) -> None:
        target.breaker.leave(Permit.PROBE, False, now, rng)

    def leave(
        self,
        target: Target,
        permit: Permit,
        sample: Sample,
        now: float,
        rng: Rng,
        *,
        retry_after: float | None = None,
        pool: Sequence[Target] = (),
        counts: bool = True,
    ) -> None:
        # Half of a pool at most is left out for its rate of failures: beyond that the fault is
        # rarely theirs, and half the answers are better than none.
        out = sum(each.breaker.ejected_by_rate for each in pool) if sample.cause else 0
        target.leave(
            permit,
            sample,
            now,
            rng,
            retry_after=retry_after,
            by_rate=2 * (out + 1) <= len(pool),
            counts=counts,
        )

    def _key(self, provider: str, credential: Credential) -> Key:
        found = self._keys.get((provider, credential.id))
        if found is None:
            found = self._keys[provider, credential.id] = Key(credential.id, credential.label)
        found.label = credential.label
        return found
