"""The simulations of `outage.py` as a chart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .outage import RULES, Outage, RuleName, Simulation, down, sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RATES: Final = [share / 20 for share in range(21)]
SECONDS: Final = 300.0
# When the provider is down for all, in the last picture.
DOWN, UP, OVER = 20.0, 80.0, 110.0
# Okabe and Ito's colours, as in `chart.py`.
_COLOURS: Final[dict[RuleName, str]] = {"before": "#d55e00", "now": "#009e73"}
_GREY: Final = "#999999"


def draw(path: Path) -> None:
    """Write the chart, in the format of `path`'s suffix. Raises ImportError without matplotlib."""
    # Imported here: the simulation must not need it, and it takes half a second.
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    # Text stays text, and one drawing is like the next: a change of the file is one of the curves.
    mpl.rcParams["svg.fonttype"] = "none"
    mpl.rcParams["svg.hashsalt"] = "breaker"
    figure, ((alone, beside), (calls, outage)) = plt.subplots(
        2, 2, figsize=(10, 7.5), layout="constrained"
    )
    _served(alone, calls)
    for rule in RULES:
        found = list(sweep(RATES, alternative=True, rule=rule, seconds=SECONDS))
        sent = [each.called("failing") / SECONDS for each in found]
        lowest = min(each.share() for each in found)
        line = _line(rule)
        line["label"] += f"; {lowest:.0%} served or more"
        beside.plot(_percent(RATES), sent, **line)
    beside.set_title("Calls a second to it, with a second route that is well")
    _outage(outage)
    for axes in (alone, beside, calls):
        axes.set_xlabel("of the provider's requests fail, %")
    for axes in (alone, beside, calls, outage):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _served(alone: Axes, calls: Axes) -> None:
    """Draw what a model with one route serves, and what its provider is sent."""
    alone.plot(
        _percent(RATES),
        _percent([1.0 - share for share in RATES]),
        color=_GREY,
        linestyle="--",
        label="the provider's own",
    )
    for rule in RULES:
        found = list(sweep(RATES, alternative=False, rule=rule, seconds=SECONDS))
        alone.plot(_percent(RATES), [100 * each.share() for each in found], **_line(rule))
        sent = [each.called("failing") / SECONDS for each in found]
        calls.plot(_percent(RATES), sent, **_line(rule))
    alone.set_title("Requests served, one route, %")
    calls.set_title("Calls a second to it, one route, for 20 requests")


def _outage(axes: Axes) -> None:
    seconds = range(int(OVER))
    axes.axvspan(DOWN, UP, color=_GREY, alpha=0.2, label="down")
    for rule in RULES:
        found = [_down(rule, seed) for seed in range(1, 11)]
        means = [sum(each.share(at, at + 1) for each in found) / len(found) for at in seconds]
        axes.plot(seconds, _percent(means), **_line(rule))
    axes.set_title("Requests served in an outage, one route, %")
    axes.set_xlabel("seconds; means of ten runs")


def _down(rule: RuleName, seed: int) -> Outage:
    failing = {"failing": down(DOWN, UP)}
    return Simulation(failing, rule=rule, seconds=OVER, seed=seed).run()


def _line(rule: RuleName) -> dict[str, Any]:
    return {"color": _COLOURS[rule], "label": "the rule before" if rule == "before" else "the rule"}


def _percent(shares: list[float]) -> list[float]:
    return [100 * share for share in shares]
