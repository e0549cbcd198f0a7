"""One run of open-loop load and what it counted: the structs that pass between the processes."""

from __future__ import annotations

from typing import Final

import msgspec

OK: Final = "200"


class Source(msgspec.Struct, frozen=True):
    """One kind of request. Times in seconds.

    With a `rate` that many are due every second, evenly, whether or not earlier ones have been
    answered. Without one, `connections` callers each ask again as soon as they have an answer.
    `kept` requests share `connections`, the others have a new one each. `requests` take turns.
    """

    name: str
    requests: list[str]
    rate: float
    kept: bool
    connections: int = 0


class OpenPlan(msgspec.Struct, frozen=True):
    """What is due within `seconds` after `warm_up` counts. Then answers are awaited for `grace`."""

    port: int
    sources: list[Source]
    warm_up: float
    seconds: float
    grace: float


class Waits(msgspec.Struct, frozen=True):
    """How many answers of one kind there were, and how long they took, in milliseconds.

    From when the request was due, not from when it could be sent: a client that waits for its
    connection waits as well. `rate` is of answers that came within the counted seconds.
    """

    count: int
    rate: float
    p50: float
    p99: float
    most: float


class SourceCounts(msgspec.Struct, frozen=True):
    """`answers` by status, or by what went wrong; `offered` is how many were due each second."""

    name: str
    offered: float
    answers: dict[str, Waits]


class OpenCounts(msgspec.Struct, frozen=True):
    """`late_p99` and `late_most` are how late the client itself was to send, in ms.

    `cpu` is the share of its core that it took.
    """

    sources: list[SourceCounts]
    late_p99: float
    late_most: float
    cpu: float

    def of(self, name: str) -> SourceCounts:
        return next(each for each in self.sources if each.name == name)


def waits(milliseconds: list[float], in_window: int, seconds: float) -> Waits:
    """Return the summary of `milliseconds`; `in_window` answers came while it was counted."""
    ordered = sorted(milliseconds) or [0.0]
    last = len(ordered) - 1
    return Waits(
        count=len(milliseconds),
        rate=in_window / seconds,
        p50=ordered[last // 2],
        p99=ordered[round(last * 0.99)],
        most=ordered[last],
    )
