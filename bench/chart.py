"""Results as a chart: what a request or event costs, and how late events are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .results import Results, Row, rows
from .scenarios import SCENARIOS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, distinguishable with any kind of colour vision.
_COLOURS: Final = {
    "direct": "#999999",
    "hypercorn": "#56b4e9",
    "gateway": "#009e73",
    "previous": "#cc79a7",
    "litellm": "#d55e00",
}
# For subjects that were given by a command.
_OTHERS: Final = ("#0072b2", "#e69f00", "#f0e442", "#000000")


def draw(results: Results, path: Path) -> None:
    """Write the chart, in the format of `path`'s suffix. Raises ImportError without matplotlib."""
    # Imported here: the tables must not need it, and it takes half a second.
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    found = rows(results)
    figure, (above, below) = plt.subplots(2, 1, figsize=(10, 8), layout="constrained")
    _bars(above, results, found, lambda row: row.cost)
    above.set_title("CPU time per request (nonstream) or event, µs")
    _bars(below, results, found, lambda row: row.delay[1] / 1e3 if row.delay else None)
    below.set_title("99th percentile of the delay per event (nonstream: of the answer), ms")
    figure.savefig(path)
    plt.close(figure)


def _label(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _bars(
    axes: Axes, results: Results, found: list[Row], value: Callable[[Row], float | None]
) -> None:
    scenarios, subjects = results.scenarios(), results.subjects()
    width = 0.8 / len(subjects)
    for place, subject in enumerate(subjects):
        values = {row.scenario: value(row) for row in found if row.subject == subject}
        drawn = [(index, values.get(name)) for index, name in enumerate(scenarios)]
        bars = axes.bar(
            [index + (place + 0.5) * width - 0.4 for index, height in drawn if height],
            [height for _, height in drawn if height],
            width,
            label=subject,
            color=_COLOURS.get(subject, _OTHERS[place % len(_OTHERS)]),
        )
        axes.bar_label(bars, fmt=_label, fontsize=7)
    axes.set_yscale("log")
    axes.margins(y=0.12)
    axes.set_xticks(range(len(scenarios)), [SCENARIOS[name].title for name in scenarios])
    axes.legend(ncols=len(subjects), fontsize=8)
