"""What requests run on: the configuration, resolved and immutable.

A request takes the snapshot once and keeps it to its end, so that a reload never changes a
request in mid-flight. What is learned while the gateway runs (`LearnedState`) is not in here: each
snapshot points to it, so a reload does not lose it.
"""

from __future__ import annotations

import hashlib
import hmac
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Protocol

import msgspec

from ..core.cache.answers import ModelCache
from ..core.limits.ledger import Scope
from ..core.records.client_metadata import KeptHeaders, kept_headers
from ..core.routing.attempts import RetryPolicy
from ..core.routing.backoff import Rng
from ..core.routing.balancing.strategies import Balancer, StrategyName
from ..core.routing.causes import Cause
from ..core.routing.deployment import Deadlines, Deployment
from ..core.routing.hedging import HedgeCap, HedgePolicy
from ..core.routing.target import Target
from ..core.sign_in import AdminSettings
from ..providers.direct import NO_PROVIDERS, DirectProviders
from ..providers.kind import RouteTerms
from ..providers.settings import Provider
from .callers import ANYONE, Caller, callers_of, key_digest, scopes_of, shared_scopes
from .catalog import Catalog, NameMatch, Names
from .cors import Cors
from .listener.server import Server
from .schema import Config

# Makes a deployment of a provider, by its name, and a route.
Describe = Callable[[str, Provider, RouteTerms], Deployment]


class LearnedState(Protocol):
    """What the gateway learns while it runs. It outlives reloads, and grows with deployments."""

    def target(self, deployment: Deployment) -> Target: ...

    def balancer(
        self, strategy: StrategyName, deployments: Sequence[Deployment], targets: Sequence[Target]
    ) -> Balancer: ...

    def hedge_cap(self, model: str) -> HedgeCap: ...


class ServedModel(msgspec.Struct, frozen=True):
    """A name that clients may ask for. `json_name` is the name as JSON.

    `deployments` are the model's own, then those of its fallbacks; `groups` says how many are
    of each, and `targets` and `balancers` go with them. `fallbacks` are the names under which
    clients could ask for the fallbacks, and `answer_names` what their answers call themselves,
    as JSON.
    """

    name: str
    json_name: bytes
    deployments: tuple[Deployment, ...]
    targets: tuple[Target, ...]
    groups: tuple[int, ...]
    balancers: tuple[Balancer, ...]
    retry: RetryPolicy
    fingerprint: bytes
    sticky_by: tuple[str, ...] = ()
    switch_on: frozenset[Cause] = frozenset()
    hedge: HedgePolicy | None = None
    hedge_cap: HedgeCap | None = None
    cache: ModelCache | None = None
    fallbacks: tuple[str, ...] = ()
    answer_names: tuple[bytes, ...] = ()

    def fallback(self, number: int) -> str | None:
        """Return which of the fallbacks the deployment `number` is of; None if it is its own."""
        group = self._fallback(number)
        return None if group is None else self.fallbacks[group]

    def answer_name(self, number: int) -> bytes:
        """Return what an answer of the deployment `number` calls its model, as JSON."""
        group = self._fallback(number)
        return self.json_name if group is None else self.answer_names[group]

    def _fallback(self, number: int) -> int | None:
        if not self.fallbacks:
            return None
        group = bisect_right(tuple(accumulate(self.groups)), number)
        return group - 1 if group else None

    def deadlines(
        self, started: float, latest: float, stopped: Callable[[], float] = float
    ) -> Deadlines:
        return Deadlines(self.deployments, started, latest, stopped)

    def order(
        self,
        now: float,
        rng: Rng,
        key: bytes | None,
        *,
        probing: bool = True,
        home: str | None = None,
    ) -> Iterator[int]:
        """Return the numbers of the deployments, best first, fallbacks last.

        Of a model that has the deployment `home`, by its state key, that is the only one.
        """
        if home is not None:
            numbers = [n for n, each in enumerate(self.deployments) if each.state_key == home]
            if numbers:
                return iter(numbers)
        if len(self.balancers) == 1:
            return self.balancers[0].order(now, rng, key, probing=probing)
        return self._order_all(now, rng, key, probing=probing)

    def _order_all(
        self, now: float, rng: Rng, key: bytes | None, *, probing: bool
    ) -> Iterator[int]:
        start = 0
        for size, balancer in zip(self.groups, self.balancers, strict=True):
            for number in balancer.order(now, rng, key, probing=probing and not start):
                yield start + number
            start += size


class Snapshot(msgspec.Struct, frozen=True):
    """`created` is Unix time in seconds, and the `created` of `/v1/models`."""

    models: Catalog[ServedModel]
    callers: Mapping[bytes, Caller]
    server: Server
    created: int
    # Names of keys of the admin API, by the digests of the keys, and their scopes by their names.
    # A name that is absent there has all rights.
    admins: Mapping[bytes, str] = {}
    admin_scopes: Mapping[str, tuple[str, ...]] = {}
    admin_settings: AdminSettings = AdminSettings()
    # The caller without a key, where none is needed.
    anyone: Caller = ANYONE
    # The limits on what a provider may be sent, by its name; only of those that have such a limit.
    provider_scopes: Mapping[str, Scope] = {}
    cors: Cors = Cors()
    kept_headers: KeptHeaders = KeptHeaders()
    metrics_public: bool = False
    # There are keys beside the configuration's, so that nobody calls without; perhaps unknown yet.
    closed: bool = False
    keys_unknown: bool = False
    # Callers by secrets that stand for a key for minutes.
    grants: Mapping[bytes, Caller] = {}
    direct: DirectProviders = NO_PROVIDERS

    @property
    def open(self) -> bool:
        """Say whether anyone may call without a key."""
        return not self.callers and not self.closed

    def shows_metrics(self, key: bytes | None) -> bool:
        """Say whether a caller with `key` may see them: an admin, or all where no key is needed."""
        if self.metrics_public or (self.open and not self.admins):
            return True
        return key is not None and self.admin(key) is not None

    def authenticate(self, key: bytes) -> Caller | None:
        """Return the caller that `key` belongs to, in a time that tells nothing about the keys.

        The lookup is by digest, so its time depends on a hash that a caller cannot steer; the
        final comparison is constant-time all the same.
        """
        digest = hashlib.sha256(key).digest()
        caller = self.callers.get(digest) or self.grants.get(digest, ANYONE)
        return caller if hmac.compare_digest(caller.digest, digest) else None

    def admin(self, key: bytes) -> str | None:
        """Return the name of the admin that `key` belongs to, as `authenticate` does."""
        digest = hashlib.sha256(key).digest()
        found = next((each for each in self.admins if hmac.compare_digest(each, digest)), None)
        return None if found is None else self.admins[found]


def build_snapshot(
    config: Config,
    describe: Describe,
    created: int,
    learned: LearnedState,
    callers: Mapping[bytes, Caller] | None = None,
) -> Snapshot:
    """Resolve a checked `config`; `describe` makes a deployment of a route.

    `callers` are those of `config` if they have been made before.
    """
    maker = _ModelBuilder(config, describe, learned)
    shared = shared_scopes(config)
    return Snapshot(
        models=Catalog(maker.names, maker.served),
        callers=callers_of(config) if callers is None else callers,
        server=config.server,
        created=created,
        admins={key_digest(admin.key): admin.name for admin in config.admins},
        admin_scopes={
            admin.name: admin.scopes for admin in config.admins if admin.scopes is not None
        },
        admin_settings=msgspec.structs.replace(
            config.admin,
            trusted_proxies=config.admin.trusted_proxies or config.server.trusted_proxies,
        ),
        anyone=msgspec.structs.replace(ANYONE, scopes=shared, limited=bool(shared)),
        provider_scopes={
            name: scope
            for name, provider in config.providers.items()
            for scope in scopes_of(f"provider:{name}", provider.rpm, provider.tpm)
        },
        cors=config.cors,
        metrics_public=config.metrics.public,
        direct=DirectProviders(config.providers, config.timeouts, describe, learned.target),
        kept_headers=kept_headers(config.log.session_headers, config.log.metadata_headers),
    )


class _ModelBuilder:
    """Makes what is served under a name."""

    def __init__(self, config: Config, describe: Describe, learned: LearnedState) -> None:
        self.names = Names(config.models)
        self._config = config
        self._describe = describe
        self._learned = learned
        self._targets: dict[str, Target] = {}

    def served(self, name: str) -> ServedModel:
        last = self._last(name)
        model = last.model
        groups = [self._deployments(last)]
        owners, names = [model], []
        for fallback in model.fallbacks:
            named = last.fill(fallback)
            other = self._last(named)
            if other == last:
                continue  # a family falls back to one of its own: that one has nothing else
            groups.append(self._deployments(other))
            owners.append(other.model)
            names.append(named)
        said = names if self._config.server.answer_model == "served" else [name] * len(names)
        deployments = tuple(each for group in groups for each in group)
        targets = [[self._target(each) for each in group] for group in groups]
        return ServedModel(
            name=name,
            json_name=msgspec.json.encode(name),
            deployments=deployments,
            targets=tuple(each for group in targets for each in group),
            groups=tuple(len(group) for group in groups),
            balancers=tuple(
                self._learned.balancer(owner.strategy, group, known)
                for owner, group, known in zip(owners, groups, targets, strict=True)
            ),
            retry=self._config.retry.override(model.retry),
            # Everything that decides which provider is asked for what: another deployment gives
            # other answers. And what they call themselves.
            fingerprint=repr([*(each.answers_by for each in deployments), *said]).encode(),
            # Only `sticky` looks at the key, and every request would make one.
            sticky_by=model.sticky_by if any(each.strategy == "sticky" for each in owners) else (),
            switch_on=frozenset(Cause(each) for each in model.fallback_on),
            hedge=model.hedge,
            hedge_cap=self._learned.hedge_cap(model.name) if model.hedge else None,
            cache=model.cache,
            fallbacks=tuple(names),
            answer_names=tuple(msgspec.json.encode(each) for each in said),
        )

    def _target(self, deployment: Deployment) -> Target:
        # A name that ends in `*` is resolved when it is first asked for, perhaps by a request
        # that began before a reload: that must not give a target the old keys again.
        found = self._targets.get(deployment.state_key)
        if found is None:
            found = self._targets[deployment.state_key] = self._learned.target(deployment)
        return found

    def _last(self, name: str) -> NameMatch:
        """Return what the aliases of `name` lead to; the check has seen that it is there."""
        *_, last = self.names.follow(name)
        return last

    def _deployments(self, match: NameMatch) -> list[Deployment]:
        found = []
        for route in match.model.routes:
            provider = self._config.providers[route.provider]
            terms = route.terms(
                match.fill(route.model),
                self._config.timeouts.override(provider.timeouts),
                route.model if route.model.endswith("*") else None,
                drops=(match.model.unsupported or self._config.translation.unsupported) == "drop",
                caches_prompts=match.model.cache_prompt == "auto",
            )
            found.append(self._describe(route.provider, provider, terms))
        return found
