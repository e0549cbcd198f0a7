"""One request's attempts, waits and skips in their order, placed on one line of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from .explanations import CAUSES, SKIPS

_US = 1000  # in a millisecond


class Piece(msgspec.Struct, frozen=True):
    """A part of a bar, in thousandths of the whole time; `kind` is its class in the styles."""

    kind: str
    start: float
    width: float


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt, or a deployment that was gone past. Times are in microseconds.

    `starts` is None of an attempt whose record does not say when it began.
    """

    name: str
    state: str
    result: str
    why: str
    starts: int | None
    took: int | None
    pieces: list[Piece]
    error: str | None = None


def timeline(row: Mapping[str, Any]) -> list[Step]:
    """Return the steps of a request as the store has it, with what was `tried`."""
    whole = max(1, row["latency_us"])
    steps = [_skip(each, whole) for each in row["skipped"] or ()]
    return sorted([*steps, *_attempts(row["tried"], whole)], key=lambda step: step.starts or 0)


def _skip(skipped: Mapping[str, Any], whole: int) -> Step:
    at = round(skipped.get("at_ms", 0.0) * _US)
    return Step(
        name=f"{skipped['provider']}/{skipped['model']}",
        state="off",
        result="skipped",
        why=SKIPS.get(skipped["reason"], skipped["reason"]),
        starts=at,
        took=None,
        pieces=[Piece("skip", min(995.0, _place(at, whole)), 5.0)],
    )


def _attempts(tried: Sequence[Mapping[str, Any]], whole: int) -> list[Step]:
    """Return the attempts: each began after its wait, at the end of the one before.

    Hedged attempts overlap, and the store does not say by how much: they are shown one after the
    other, and none beyond the end.
    """
    at = 0
    steps = []
    for each in tried:
        start = min(at + each["wait_us"], whole)
        end = min(start + each["duration_us"], whole)
        steps.append(_attempt(each, at, start, end, whole))
        at = end
    return steps


def _attempt(each: Mapping[str, Any], before: int, start: int, end: int, whole: int) -> Step:
    cause, first = each["cause"], each["first_event_us"]
    pieces = []
    if start > before:
        pieces.append(Piece("wait", _place(before, whole), _place(start - before, whole)))
    if cause is not None:
        pieces.append(_bar("failed", start, end, whole))
    elif first is None or start + first >= end:
        pieces.append(_bar("after", start, end, whole))
    else:
        pieces.append(_bar("before", start, start + first, whole))
        pieces.append(_bar("after", start + first, end, whole))
    return Step(
        name=f"{each['provider']}/{each['model']}",
        state="ok" if cause is None else "bad",
        result=str(each["status"] or ("ok" if cause is None else "failed")),
        why="answered" if cause is None else CAUSES.get(cause, cause),
        starts=start,
        took=each["duration_us"],
        pieces=pieces,
        error=each["error"],
    )


def _bar(kind: str, start: int, end: int, whole: int) -> Piece:
    # At least visible.
    return Piece(kind, min(996.0, _place(start, whole)), max(4.0, _place(end - start, whole)))


def _place(at: int, whole: int) -> float:
    return round(1000 * at / whole, 2)
