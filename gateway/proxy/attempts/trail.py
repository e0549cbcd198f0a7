"""What a request went past: deployments that it was not sent to, and why.

A record without them would say that the second route answered, and not that the first one's
breaker was open. Most were not even asked for: a strategy puts those that are known to be
unavailable behind the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import trio

from ...config.snapshot import ServedModel
from ...core.routing.blame.source import Source
from ...core.routing.causes import Skipped, SkipReason
from ...core.routing.deployment import Deployment
from ..protocols import Health
from ..settlement import Settlement


class Trail:
    """The deployments that one request went past, each once, by its number in the model."""

    __slots__ = ("_begun", "_health", "_model", "_past", "_settlement", "_source")

    def __init__(
        self, model: ServedModel, settlement: Settlement, health: Health, source: Source
    ) -> None:
        self._model: Final = model
        self._settlement: Final = settlement
        self._health: Final = health
        self._source: Final = source
        self._begun: set[int] = set()
        self._past: dict[int, Skipped] = {}

    def __repr__(self) -> str:
        return f"<Trail past {self.skipped}>"

    @property
    def skipped(self) -> list[tuple[Deployment, Skipped]]:
        """Return what was gone past, in that order."""
        return [(self._model.deployments[number], why) for number, why in self._past.items()]

    def begin(self, number: int) -> None:
        """Take note of an attempt that begins, and of all that it was preferred to."""
        self._begun.add(number)
        start = 0
        for size, balancer in zip(self._model.groups, self._model.balancers, strict=True):
            if start > number:
                return
            # Nearly always there are none: this is asked for every request.
            for index in balancer.down:
                self._unavailable(start + index)
            start += size

    def skip(self, number: int, why: Skipped) -> None:
        """Take note of a deployment that let no attempt through."""
        if number not in self._past:
            self._settlement.skip(self._model.deployments[number], why.why.value)
        # The latest is what is known best.
        self._past[number] = why

    def leave(self, number: int) -> None:
        """Take note that the model of `number` cannot serve the request: another one is asked."""
        for each in self._up_to_the_end_of(number):
            if each not in self._begun:
                self.skip(each, Skipped(SkipReason.CANNOT_SERVE))

    def _unavailable(self, number: int) -> None:
        if number in self._begun or number in self._past:
            return
        why = self._health.unavailable(
            self._model.targets[number], trio.current_time(), self._source
        )
        if why is not None:
            self.skip(number, why)

    def _up_to_the_end_of(self, number: int) -> Iterator[int]:
        end = 0
        for size in self._model.groups:
            end += size
            if number < end:
                break
        return iter(range(end))
