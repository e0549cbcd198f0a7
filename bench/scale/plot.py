"""Results of several workers as a chart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .report import ScaleRow, rows
from .session import ALONE, LOCAL, SHARED, ScaleResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, distinguishable with any kind of colour vision.
_COLOURS: Final = {ALONE: "#999999", LOCAL: "#009e73", SHARED: "#0072b2"}


def draw(results: ScaleResults, path: Path) -> None:
    """Write the chart, in the format of `path`'s suffix. Raises ImportError without matplotlib."""
    # Imported here: the tables must not need it, and it takes half a second.
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.fonttype"] = "none"
    mpl.rcParams["svg.hashsalt"] = "scale"
    found = rows(results)
    figure, ((rate, per_core), (p99, off)) = plt.subplots(
        2, 2, figsize=(10, 7.5), layout="constrained"
    )
    _lines(rate, found, lambda row: row.rate)
    rate.set_title("Requests a second, all workers together")
    _lines(per_core, found, lambda row: row.per_core)
    per_core.set_title("Requests that a second of CPU time answers")
    _lines(p99, found, lambda row: row.p99)
    p99.set_title("99th percentile of the answer, ms")
    _lines(off, found, lambda row: None if row.off is None else 100 * row.off)
    off.set_title("Let through beyond a limit, % of what was due")
    for axes in (rate, per_core, p99):
        axes.set_ylim(bottom=0)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _lines(axes: Axes, found: list[ScaleRow], value: Callable[[ScaleRow], float | None]) -> None:
    for limits in dict.fromkeys(row.setup.limits for row in found):
        points = [
            (max(1, row.setup.workers), height)
            for row in found
            if row.setup.limits == limits and (height := value(row)) is not None
        ]
        label = limits if limits == ALONE else f"limits in the {limits}"
        axes.plot(
            [place for place, _ in points],
            [height for _, height in points],
            "o-",
            color=_COLOURS[limits],
            label=label,
        )
    axes.set_xticks(sorted({max(1, row.setup.workers) for row in found}))
    axes.set_xlabel("workers")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
