"""Which part of a time can be read from the condensed sums: where they agree with the roll-ups."""

from __future__ import annotations

from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import Connection

from . import stamps
from .stamps import ALL, RollupPart

# A query for each is more than it is worth where they alternate.
_MOST: Final = 8


class Stretch(NamedTuple):
    """A time (µs, its end is out), and whether its sums are condensed."""

    start: int
    end: int
    condensed: bool


# What was found out in a transaction, which has a connection of its own: a page reads the same time
# several times.
_known: Final[
    WeakKeyDictionary[Connection, dict[tuple[int, int, int, RollupPart], list[Stretch]]]
] = WeakKeyDictionary()


def stretches(
    connection: Connection, period: int, start: int, end: int, part: RollupPart = ALL
) -> list[Stretch]:
    """Divide a time of whole periods (seconds) into what is condensed and what is not.

    Whoever reads one model alone asks for that `part`: it takes as little time as the model has of
    all roll-ups.
    """
    known = _known.setdefault(connection, {})
    which = period, start, end, part
    if which not in known:
        known[which] = _stretches(connection, *which)
    return known[which]


def _stretches(
    connection: Connection, period: int, start: int, end: int, part: RollupPart
) -> list[Stretch]:
    wanted = stamps.of_rollups(connection, period, start, end, part)
    known = stamps.of_condensed(connection, period, start, end, part)
    found: list[Stretch] = []
    for each in sorted({*wanted, *known}):
        agrees = wanted.get(each) == known.get(each)
        if found and found[-1].condensed is agrees:
            continue
        if found:
            found[-1] = found[-1]._replace(end=each)
        # Where nothing is, neither table has a row.
        found.append(Stretch(each if found else start, end, agrees))
    if not found:
        return [Stretch(start, end, True)]
    return found if len(found) <= _MOST else [Stretch(start, end, False)]
