"""Figures over time, by column, as charts take them: fewer bytes than a row for each point."""

from __future__ import annotations

from typing import Final

from ...store.queries.stats import Figures, Summary

SECOND: Final = 1_000_000
_MS: Final = 1000

# No point at all: of figures that are not there yet.
NONE: Final[dict[str, list[float | None]]] = {
    name: []
    for name in (
        *("time", "requests", "errors", "input", "output", "cost"),
        *("p50", "p95", "first50", "first95", "failed"),
    )
}


def columns(found: Summary) -> dict[str, list[float | None]]:
    """Return a value for each point of time; where nothing happened, counts are zero.

    Times are seconds. Counts and money are by the second, so that ranges can be compared; the last
    point is of a time that has not ended, so its rates are of the seconds that have passed.
    """
    width = found.width * SECOND
    points = {point.time: point.figures for point in found.series}
    first = found.since // width * width
    times = range(first, found.until, width)
    rows = [_row(points.get(time), _covered(found, time) / SECOND) for time in times]
    names = list(_row(None, 1.0))
    return {
        "time": [time // SECOND for time in times],
        **{name: [row[name] for row in rows] for name in names},
    }


def _covered(found: Summary, time: int) -> float:
    """Return how much of a point's time is within what was asked for, at least a second."""
    end = min(time + found.width * SECOND, found.until)
    return max(SECOND, end - max(time, found.since))


def _row(figures: Figures | None, seconds: float) -> dict[str, float | None]:
    if figures is None:
        counts = dict.fromkeys(("requests", "errors", "input", "output", "cost"), 0.0)
        return {**counts, **dict.fromkeys(("p50", "p95", "first50", "first95", "failed"))}
    return {
        "requests": _short(figures.requests / seconds),
        "errors": _short(figures.errors / seconds),
        "input": _short(figures.input_tokens / seconds),
        "output": _short(figures.output_tokens / seconds),
        "cost": _short((figures.cost_nano_usd or 0) / 1e9 / seconds * 3600),
        "p50": _ms(figures.latency_us.p50),
        "p95": _ms(figures.latency_us.p95),
        "first50": _ms(figures.first_event_us.p50),
        "first95": _ms(figures.first_event_us.p95),
        "failed": _short(figures.error_rate * 100),
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _ms(microseconds: float | None) -> float | None:
    return None if microseconds is None else _short(microseconds / _MS)
