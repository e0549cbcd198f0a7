"""The order in which a request may try the deployments of a pool.

    1. a probe       one member whose open breaker waits for a request to learn from
    2. available     as the strategy says; those of weight 0 behind the others
    3. other probes  a request carries one at most: three dead members must not cost a caller
                     all attempts while a fourth is well
    4. unavailable   asked only for when they can be tried again

An order is lazy: nearly every request takes the first of it and no more. That first one may
cost a look at every member; all that follows is computed when it is asked for, from what is
then known of the members.

A balancer keeps what a strategy must remember between requests (which member is next). It keeps
nothing of the members' health, which is read anew for each request.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from ..backoff import Rng
from ..health import PeakEwma


class Load(Protocol):
    """What a strategy reads of a deployment.

    `clear` says that it was available and nothing has happened since. It may be true for too
    long: the next request that is sent there in vain corrects it.
    """

    @property
    def clear(self) -> bool: ...

    @property
    def in_flight(self) -> int:
        """Return how many attempts are under way."""

    @property
    def first_event(self) -> PeakEwma:
        """Return the seconds to the first event."""

    def available(self, now: float) -> bool:
        """Say whether its breaker is not open and it is not cooling down."""

    def probe_due(self, now: float) -> bool:
        """Say whether its breaker needs one request to learn from. Then it is not available."""

    def factor(self, now: float) -> float:
        """Return its share of its weight, 0.1 to 1.0; less than 1 in a slow start."""


class PoolMember(msgspec.Struct, frozen=True):
    """One deployment's place in a pool.

    weight  finite; 0 is a spare, used when no other is available (except under `priority`)
    price   of any unit, compared under `cheapest`
    seed    what it is known by under `sticky`: its name, no two alike in a pool
    """

    load: Load
    weight: float = 1.0
    price: float = 0.0
    seed: bytes = b""


class Balancer(abc.ABC):
    """Orders the members of one pool."""

    def __init__(self, members: Sequence[PoolMember], *, spares: bool = True) -> None:
        self._members = tuple(members)
        self._loads = [member.load for member in members]
        self._is_spare = [spares and member.weight == 0 for member in members]
        # Spares are weighed among themselves alone, and then equally.
        self._weights = [float(member.weight) or 1.0 for member in members]
        self._down: list[int] = []
        self._regroup()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._members)}, down {self._down}>"

    @property
    def down(self) -> Sequence[int]:
        """Return those that were not available when an order was last begun."""
        return self._down

    def order(
        self, now: float, rng: Rng, key: bytes | None = None, *, probing: bool = True
    ) -> Iterator[int]:
        """Yield the index of every member once, best first. `key` is what sticks, if it does.

        Without `probing` no member is tried first only to learn whether it is well again.
        """
        self._look(now)
        probe = self._probe(now, rng) if probing and self._down else None
        if probe is not None:
            yield probe
            # While that one was tried others have been ordered: what is kept here moved on.
            self._look(now)
        down, spare = self._down, self._spare
        for index in self._rank(now, rng, key):
            if index != probe:
                yield index
        for index in shuffled(spare, rng):
            if index != probe:
                yield index
        last = [index for index in down if index != probe]
        yield from sorted(last, key=lambda index: not self._loads[index].probe_due(now))

    @abc.abstractmethod
    def _rank(self, now: float, rng: Rng, key: bytes | None) -> Iterator[int]:
        """Yield the members of `_up`, best first.

        Other requests are ordered between one `yield` and the next. So what belongs together,
        such as `_up` and lists alongside it, is taken before the first one; `_regroup` makes
        new lists and never changes an old one.
        """

    def _look(self, now: float) -> None:
        """Find out which members are available."""
        # This runs for every request: to read an attribute of 100 members takes 3 µs, to call
        # a method of theirs that looks at breaker and keys 12.
        down = [
            index
            for index, load in enumerate(self._loads)
            if not load.clear and not load.available(now)
        ]
        if down != self._down:
            self._down = down
            self._regroup()

    def _regroup(self) -> None:
        """Prepare what depends on availability, which changes far less often than it is read.

        Sets `_up`, the members for `_rank`, and `_spare`, those of weight 0 behind them.
        """
        out = set(self._down)
        up = [index for index in range(len(self._members)) if index not in out]
        self._up = [index for index in up if not self._is_spare[index]]
        self._spare = [index for index in up if self._is_spare[index]]
        if not self._up:
            self._up, self._spare = self._spare, []

    def _probe(self, now: float, rng: Rng) -> int | None:
        """Return the member to try first so that it can be found well again; None if none is due.

        Any of those that are due: the probe of the first may take a minute, and the next ones
        need not wait for it. A spare is probed when it is needed.
        """
        due = [
            index
            for index in self._down
            if self._loads[index].probe_due(now) and not self._is_spare[index]
        ]
        return due[int(rng() * len(due))] if due else None

    def _slow_started(self, ranked: Iterable[int], now: float, rng: Rng) -> Iterator[int]:
        """Yield `ranked`, but leave those in a slow start behind, each by its factor's chance."""
        held = []
        for index in ranked:
            factor = self._loads[index].factor(now)
            if factor < 1.0 and rng() >= factor:
                held.append(index)
            else:
                yield index
        yield from held


def shuffled(indices: Iterable[int], rng: Rng) -> list[int]:
    """Return them in random order, so that one member's failures do not all fall on one other."""
    return sorted(indices, key=lambda _: rng())
