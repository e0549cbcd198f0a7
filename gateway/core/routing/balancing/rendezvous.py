"""The same key to the same member: weighted rendezvous hashing.

Every member has a number for every key, drawn from the two names alone, and the highest
takes the key (Thaler and Ravishankar, "Using name-based mappings to increase hit rates",
1998). If a member is away, its keys fall to the member second for each of them, and no
other key moves. With u uniform in (0, 1], the highest of -w / ln(u) falls to each in proportion
to its weight (Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005).

All processes and versions must agree on the numbers, or a prompt's cache is at one provider for
one worker and elsewhere for the next. So they do not come from `hash()`, which is salted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import pairwise
from math import log
from struct import Struct
from typing import Final

from ..backoff import Rng
from .balancer import PoolMember
from .rotation import Rotation

# The low bits of a number decide which member is kept back in a slow start; -w / ln(u), a float of
# 53 bits, hardly sees them, so the two are independent.
COIN: Final = (1 << 11) - 1


class Ranking:
    """The order of some members, given as index, weight and digest, for any key.

    A number is the product of the key's hash and the seed's, 64 bits each, with its upper half
    folded onto its lower one: the mixing step of wyhash. In Python that would be four
    operations on long integers for each member, 12 us for 100. But side by side in one
    very long integer, 128 bits for each so that no product runs into the next, all are
    multiplied and folded at once, in 5 us.
    """

    __slots__ = ("_group_weights", "_groups", "_indices", "_lanes", "_seeds", "_weights")

    def __init__(self, members: Iterable[tuple[int, float, int]]) -> None:
        # Among equal weights the highest number wins. So members of one weight stand together,
        # and logarithms are taken of the best of each group only.
        ordered = sorted(members, key=lambda member: member[1])
        self._indices = [index for index, _, _ in ordered]
        self._weights = weights = [weight for _, weight, _ in ordered]
        lanes = b"".join(seed.to_bytes(16, "little") for _, _, seed in ordered)
        self._seeds = int.from_bytes(lanes, "little")
        self._lanes = Struct("<" + "Q8x" * len(ordered))
        ends = [at for at in range(1, len(weights)) if weights[at] != weights[at - 1]]
        self._groups = list(pairwise([0, *ends, len(weights)]))
        self._group_weights = [weights[start] for start, _ in self._groups if weights]

    def __call__(self, key: bytes) -> Iterator[tuple[int, int]]:
        """Yield each index with its number for `key`, best first."""
        numbers, weights = self.numbers(key), self._weights
        if len(self._groups) == 1:
            first = numbers.index(max(numbers))
        else:
            bests = [max(numbers[start:end]) for start, end in self._groups]
            losses = list(map(_loss, bests, self._group_weights))
            first = numbers.index(bests[losses.index(min(losses))])
        yield self._indices[first], numbers[first]
        rest = [place for place in range(len(numbers)) if place != first]
        for place in sorted(rest, key=lambda place: _loss(numbers[place], weights[place])):
            yield self._indices[place], numbers[place]

    def numbers(self, key: bytes) -> tuple[int, ...]:
        """Return the numbers for `key`, 64 bits each, by rising weight of the members."""
        products = self._seeds * digest(key)
        folded = products ^ products >> 64  # good in the lower half of each lane
        return self._lanes.unpack(folded.to_bytes(self._lanes.size, "little"))


def digest(name: bytes) -> int:
    """Return 64 bits; odd ones, as a factor of zero would lose all of the other."""
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "little") | 1


def _loss(number: int, weight: float) -> float:
    """Return what the best one has least of."""
    return -log((number + 1) * 2.0**-64) / weight


class Sticky(Rotation):
    """`sticky`: members in the order of their numbers; in turn where there is no key."""

    def __init__(self, members: Sequence[PoolMember]) -> None:
        self._digests = [digest(member.seed) for member in members]
        super().__init__(members)

    def _regroup(self) -> None:
        super()._regroup()
        self._ranking = Ranking(
            (index, self._weights[index], self._digests[index]) for index in self._up
        )

    def _rank(self, now: float, rng: Rng, key: bytes | None) -> Iterator[int]:
        if key is None:
            yield from super()._rank(now, rng, key)
            return
        if not self._up:
            return
        held = []
        for index, number in self._ranking(key):
            # Not by chance, as elsewhere: in a slow start more and more keys come home, and
            # each of them once, instead of all going to and fro between two caches.
            factor = self._loads[index].factor(now)
            if factor < 1.0 and number & COIN >= factor * (COIN + 1):
                held.append(index)
            else:
                yield index
        yield from held
