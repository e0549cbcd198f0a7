"""One request's attempts, waits and skips in their order, placed on one line of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ...core.routing.balancing.strategies import StrategyName
from ...core.routing.causes import Cause
from .explanations import CAUSES, CHOICES, SKIPS

_US = 1000  # in a millisecond


class Piece(msgspec.Struct, frozen=True):
    """A part of a bar, in thousandths of the whole time; `kind` is its class in the styles."""

    kind: str
    start: float
    width: float


class Step(msgspec.Struct, kw_only=True):
    """An attempt, or a deployment that was gone past. Times are in microseconds.

    `starts` is None of an attempt whose record does not say when it began. `chosen` says why it was
    this deployment that was asked.
    """

    name: str
    state: str
    result: str
    why: str
    starts: int | None
    took: int | None
    pieces: list[Piece]
    error: str | None = None
    chosen: str = ""


def timeline(row: Mapping[str, Any], strategy: StrategyName | None = None) -> list[Step]:
    """Return the steps of a request as the store has it, with what was `tried`.

    `strategy` is how its model's routes are ordered, None if it is not known any more.
    """
    whole = max(1, row["latency_us"])
    skipped = sorted(round(each.get("at_ms", 0.0) * _US) for each in row["skipped"] or ())
    attempts = _attempts(row["tried"], whole, skipped)
    ends = [(step.starts or 0) + (step.took or 0) for step in attempts]
    placed = [((number, 1, 0), step) for number, step in enumerate(attempts)]
    for each in row["skipped"] or ():
        step = _skip(each, whole)
        at = step.starts or 0
        # The record says of an attempt how long it waited, and not when it was chosen. What was
        # skipped before it ended was skipped on the way to it.
        number = next((number for number, end in enumerate(ends) if at < end), len(ends))
        placed.append(((number, 0, at), step))
    placed.sort(key=lambda each: each[0])
    skipped_first = placed and placed[0][0][:2] == (0, 0)
    for number, step in enumerate(attempts):
        step.chosen = _chosen(row, number, strategy, after_skips=bool(skipped_first))
    return [step for _, step in placed]


def _chosen(
    row: Mapping[str, Any], number: int, strategy: StrategyName | None, *, after_skips: bool
) -> str:
    tried = row["tried"]
    fallback = row.get("fallback_model")
    if fallback and number == len(tried) - 1:
        return f"the fallback {fallback}"
    if number == 0:
        if after_skips:
            return "next after what was skipped"
        return "" if strategy is None else CHOICES[strategy]
    # Of two that ran side by side one says that it lost; the later one was the hedge.
    own, last = tried[number]["cause"], tried[number - 1]["cause"]
    if last == Cause.HEDGED.value or (own == Cause.HEDGED.value and last is None):
        return "a hedge: asked as well, since the answer was slow to come"
    same = all(tried[number][name] == tried[number - 1][name] for name in ("provider", "model"))
    return "tried again" if same else "next after the failure before"


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


def _attempts(tried: Sequence[Mapping[str, Any]], whole: int, skipped: Sequence[int]) -> list[Step]:
    """Return the attempts: each began after its wait, at the end of the one before.

    And after the deployments that were `skipped` on the way to it, as far as the time that is left
    allows. Hedged attempts overlap, and the store does not say by how much: they are shown one
    after the other, and none beyond the end.
    """
    at = 0
    left = sum(each["wait_us"] + each["duration_us"] for each in tried)
    steps = []
    for each in tried:
        start = min(at + each["wait_us"], whole)
        latest = min(whole - left + each["wait_us"], start + each["duration_us"])
        left -= each["wait_us"] + each["duration_us"]
        start = max((skip for skip in skipped if start < skip < latest), default=start)
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
