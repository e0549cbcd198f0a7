"""Turns requests away when the whole process has too much to do, before they cost anything."""

from __future__ import annotations

import trio

from ...core.limits.shedding import OverloadPolicy, come_back, shed_probability
from ...core.routing.backoff import Rng
from ...errors import Overloaded
from ...lifecycle import Lifecycle
from .lag import LoopLag


class Overload:
    """Refuses a share of the requests while the process is overloaded. A reload sets `policy`."""

    def __init__(self, policy: OverloadPolicy, lag: LoopLag, lifecycle: Lifecycle) -> None:
        self.policy = policy
        self._lag = lag
        self._lifecycle = lifecycle

    def __repr__(self) -> str:
        return f"<Overload {self._lag!r}, {self._lifecycle!r}>"

    def check(self, rng: Rng) -> None:
        """Raise `Overloaded` with the probability that the load asks for.

        Called from within an exchange, which is itself in flight and does not count here:
        otherwise a limit of one would let no request in.
        """
        lag = self._lag.current(trio.current_time())
        probability = shed_probability(self.policy, lag, self._lifecycle.in_flight - 1)
        if probability > 0.0 and rng() < probability:
            message = "the gateway has too much to do; try again in a moment"
            raise Overloaded(message, retry_after=come_back(rng))
