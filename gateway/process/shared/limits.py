"""Where this process keeps limits: in its memory, with the workers of its host, or in a server."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, cast

from ...config.schema import Config
from ...group.folder import membership
from ...group.host_store import HostLimitStore
from ...proxy.reservation import Reservations
from ...proxy.traffic.control import ShareSlots
from ...proxy.traffic.shared_slots import SharedSlots
from ...proxy.traffic.slots import Slots
from ...serve.crew.member import WORKER
from ...state.limits import MemoryLimits
from ...state.shared.limits import SharedLimits
from ..memory import WORKERS

if TYPE_CHECKING:
    from ...state.redis.answers import RedisAnswers
    from ...state.redis.limit_store import RedisLimitStore
    from ...state.redis.process_roll import ProcessRoll

# Seconds for the supervisor's answer. There is no network to be slow, and its end is seen at once:
# it is late only where all processes of the machine are.
_HOST_TIMEOUT: Final = 0.5

ProcessLimits = MemoryLimits | SharedLimits


def limits_of(config: Config, environ: Mapping[str, str] = os.environ) -> ProcessLimits:
    """Return the limits of a process with `config`: alone it needs to ask nobody."""
    place = membership(environ, WORKER, WORKERS)
    workers = 1 if place is None else place.count
    if config.state.url:
        # It takes a third of a second to import, which only those wait for that need it.
        from ...state.redis.limit_store import RedisLimitStore

        store = RedisLimitStore(config.state)
        timeout = config.state.timeout
        return SharedLimits(
            store,
            random.random,
            processes=workers,
            timeout=timeout,
            unrecorded=not config.store.url,
        )
    if place is None:
        return MemoryLimits()
    host = HostLimitStore(place.limits)
    return SharedLimits(host, random.random, processes=workers, timeout=_HOST_TIMEOUT)


def counts_alone(limits: object, config: Config) -> Callable[[], bool]:
    """Return what says whether no other process counts what this one does, or it cannot ask.

    Each host has a count of its own where its workers share theirs through their supervisor.
    """
    if not isinstance(limits, SharedLimits) or not config.state.url:
        return lambda: True
    return lambda: limits.degraded


def slots_of(limits: ProcessLimits) -> ShareSlots | None:
    """Return what makes the slots that processes share with these `limits`; None for one alone."""
    if not isinstance(limits, SharedLimits):
        return None

    def share(
        what: str, key: str, max_queue: int, timeout: float, reservations: Reservations
    ) -> Slots:
        return SharedSlots(
            what,
            max_queue,
            timeout,
            key=key,
            limits=limits,
            places=limits,
            reservations=reservations,
            rng=random.random,
        )

    return share


def roll_of(limits: object) -> ProcessRoll | None:
    """Return where all processes are known that share `limits` in a server; None if in none."""
    if not isinstance(limits, SharedLimits):
        return None
    store = limits.store
    return None if isinstance(store, HostLimitStore) else cast("RedisLimitStore", store).roll


def answers_of(config: Config) -> RedisAnswers | None:
    """Return where answers are kept for all processes, if that is wanted."""
    if not (config.cache.shared and config.state.url):
        return None
    from ...state.redis.answers import RedisAnswers

    return RedisAnswers(config.state)
