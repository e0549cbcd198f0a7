"""How much may be under way at once: of all requests, and with each provider."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from ...config.schema import LimitsConfig
from ...core.limits.shedding import OverloadPolicy
from ...core.records.gaps import GapCounts
from ...lifecycle import Lifecycle
from ...providers.settings import Provider
from ..reservation import Reservations
from .body_memory import BodyMemory
from .lag import LoopLag
from .overload import Overload
from .refused_keys import RefusedKeys
from .slots import Slots
from .turns import Turns

# The scopes of places that processes share, by their keys.
OF_GATEWAY: Final = "places:gateway"
OF_PROVIDER: Final = "places:provider:"

# From what slots are of, their key, how many may wait and how long, and what keeps their leases.
ShareSlots = Callable[[str, str, int, float, Reservations], Slots]


class TrafficControl:
    """The slots of this process. They outlive every reload that keeps their provider.

    `share` makes those that processes share; without it each process has slots of its own.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        body_memory: float = math.inf,
        share: ShareSlots | None = None,
    ) -> None:
        self._share = share
        self.lag = LoopLag()
        self.gaps = GapCounts()
        self.turns = Turns()
        self.refused = RefusedKeys()
        self.reservations = Reservations()
        self.bodies = BodyMemory(body_memory)
        self.overload = Overload(OverloadPolicy(), self.lag, lifecycle)
        self._limits = LimitsConfig()
        self.everyone = self._made("the gateway", OF_GATEWAY)
        self._providers: dict[str, Slots] = {}
        self._draining = False
        lifecycle.when_draining(self._drain)

    def __repr__(self) -> str:
        return f"<TrafficControl {self.everyone!r}>"

    def __iter__(self) -> Iterator[Slots]:
        """Yield all slots: those of the gateway, then each provider's."""
        return iter((self.everyone, *self._providers.values()))

    def configure(
        self, limits: LimitsConfig, overload: OverloadPolicy, providers: Mapping[str, Provider]
    ) -> None:
        """Take new limits; what is under way or waiting stays."""
        self._limits = limits
        self.overload.policy = overload
        for name in self._providers.keys() - providers.keys():
            # A slot that is still held is given back to the object that it is from.
            del self._providers[name]
        self._set(self.everyone, limits.max_concurrent)
        for name, provider in providers.items():
            self._set(self.provider(name), provider.max_concurrent)

    def provider(self, name: str) -> Slots:
        """Return the slots of the provider `name`; unlimited if nothing says otherwise."""
        found = self._providers.get(name)
        if found is None:
            found = self._made(f"provider {name}", OF_PROVIDER + name)
            self._providers[name] = found
            if self._draining:
                found.refuse_all()
        return found

    def _made(self, what: str, key: str) -> Slots:
        limits = self._limits
        if self._share is not None:
            return self._share(what, key, limits.max_queue, limits.queue_timeout, self.reservations)
        return Slots(what, None, limits.max_queue, limits.queue_timeout)

    def _set(self, slots: Slots, limit: int | None) -> None:
        slots.max_queue = self._limits.max_queue
        slots.timeout = self._limits.queue_timeout
        slots.limit = limit

    def _drain(self) -> None:
        self._draining = True
        for slots in self:
            slots.refuse_all()
