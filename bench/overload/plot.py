"""Results under overload as a chart: what is answered, and how long answers and refusals take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from .plan import OK
from .report import Line, lines
from .session import PROBE, OverloadResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, distinguishable with any kind of colour vision.
_COLOURS: Final = {OK: "#009e73", "503": "#d55e00", "429": "#e69f00", PROBE: "#0072b2"}
_BEFORE: Final = 0.45  # how pale the bars of other subjects than the last are


def draw(results: OverloadResults, path: Path) -> None:
    """Write the chart, in the format of `path`'s suffix. Raises ImportError without matplotlib."""
    # Imported here: the tables must not need it, and it takes half a second.
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    found = lines(results)
    figure, (above, below) = plt.subplots(2, 1, figsize=(11, 9), layout="constrained")
    _rates(above, found)
    above.set_title("Answered with 200, as a part of what the gateway can do at most")
    _waits(below, found)
    below.set_title("99th percentile since the request was due, ms")
    figure.savefig(path)
    plt.close(figure)


def _places(found: list[Line]) -> tuple[list[str], list[str]]:
    loads = dict.fromkeys(line.load.name for line in found if line.load.times)
    return list(loads), list(dict.fromkeys(line.subject for line in found))


def _rates(axes: Axes, found: list[Line]) -> None:
    loads, subjects = _places(found)
    width = 0.8 / len(subjects)
    for place, subject in enumerate(subjects):
        shares = [
            sum(
                line.share or 0.0
                for line in found
                if (line.subject, line.load.name) == (subject, load)
            )
            for load in loads
        ]
        bars = axes.bar(
            [index + (place + 0.5) * width - 0.4 for index in range(len(loads))],
            shares,
            width,
            label=subject,
            color=_COLOURS[OK],
            alpha=1.0 if place == len(subjects) - 1 else _BEFORE,
        )
        axes.bar_label(bars, fmt="{:.0%}", fontsize=7)
    axes.axhline(1.0, color="#999999", linewidth=0.8)
    axes.set_xticks(range(len(loads)), loads)
    axes.legend(fontsize=8)


def _waits(axes: Axes, found: list[Line]) -> None:
    loads, subjects = _places(found)
    kinds = (OK, "503", "429", PROBE)
    width = 0.8 / (len(subjects) * len(kinds))
    for place, subject in enumerate(subjects):
        for number, kind in enumerate(kinds):
            drawn = []
            for index, load in enumerate(loads):
                p99 = _p99(found, subject, load, kind)
                if p99:
                    left = (number * len(subjects) + place + 0.5) * width - 0.4
                    drawn.append((index + left, p99))
            last = place == len(subjects) - 1
            axes.bar(
                [x for x, _ in drawn],
                [height for _, height in drawn],
                width,
                label=kind if last else f"{kind}, {subject}",
                color=_COLOURS[kind],
                alpha=1.0 if last else _BEFORE,
            )
    axes.axhline(1000.0, color="#999999", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_xticks(range(len(loads)), loads)
    axes.legend(ncols=len(kinds), fontsize=8)


def _p99(found: list[Line], subject: str, load: str, kind: str) -> float:
    """Return the longest p99 of the sources; a probe that got no answer counts as one."""
    status = OK if kind == PROBE else kind
    return max(
        (
            line.answers[outcome][2]
            for line in found
            for outcome in line.answers
            if (line.subject, line.load.name) == (subject, load)
            and (line.source == PROBE) == (kind == PROBE)
            and (outcome == status or kind == PROBE)
        ),
        default=0.0,
    )
