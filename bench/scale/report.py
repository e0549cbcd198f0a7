"""Results of several workers as tables on the terminal and as a JSON file."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from .session import ScaleMeasured, ScaleResults, Setup, off_by

_OTHERS_BUSY: Final = 0.1


class ScaleRow(msgspec.Struct, frozen=True):
    """The medians of one setup; `off` is the worst of its rounds, `rss` in bytes the highest."""

    setup: Setup
    rate: float
    per_core: float
    p50: float
    p99: float
    cpu: float
    rss: int
    off: float | None


class Document(msgspec.Struct, frozen=True):
    """The JSON file: everything measured, its medians, and what speaks against trusting them."""

    results: ScaleResults
    rows: list[ScaleRow]
    doubts: list[str]


def rows(results: ScaleResults) -> list[ScaleRow]:
    found = []
    for setup in dict.fromkeys(each.setup for each in results.measured):
        of_it = [each for each in results.measured if each.setup == setup]
        found.append(
            ScaleRow(
                setup=setup,
                rate=statistics.median(each.rate for each in of_it),
                per_core=statistics.median(each.per_core for each in of_it),
                p50=statistics.median(each.p50 for each in of_it),
                p99=statistics.median(each.p99 for each in of_it),
                cpu=statistics.median(each.cpu for each in of_it),
                rss=max(each.rss for each in of_it),
                off=max(
                    (each.off for each in of_it if each.off is not None), key=abs, default=None
                ),
            )
        )
    return found


def write_json(results: ScaleResults, path: Path) -> None:
    document = Document(results, rows(results), doubts(results.measured))
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def show(results: ScaleResults, console: Console) -> None:
    """Print what was measured, and what speaks against trusting it."""
    console.print(", ".join(f"{key} {value}" for key, value in results.machine.items()))
    table = Table(title="workers; times in ms")
    for heading in ("limits in", "workers"):
        table.add_column(heading)
    for heading in (
        "requests/s",
        "cores",
        "per CPU second",
        "p50/p99",
        "memory MB",
        "limit",
    ):
        table.add_column(heading, justify="right")
    for row in rows(results):
        table.add_row(
            row.setup.limits,
            str(row.setup.workers or "-"),
            f"{row.rate:,.0f}",
            f"{row.cpu:.2f}",
            f"{row.per_core:,.0f}",
            f"{row.p50:,.1f}/{row.p99:,.1f}",
            f"{row.rss / 1e6:,.0f}",
            off_by(row.off),
        )
    console.print(table)
    for doubt in doubts(results.measured):
        console.print(f"doubt: {doubt}", markup=False)


def doubts(measured: list[ScaleMeasured]) -> list[str]:
    """Return what speaks against trusting the figures, in sentences."""
    said = []
    for one in measured:
        where = f"{one.setup.limits}, {one.setup.workers or 'no'} workers, round {one.round}"
        if one.other_cpu > _OTHERS_BUSY:
            said.append(f"{where}: others on this machine used {one.other_cpu:.0%} of a core.")
        if one.off is None:
            said.append(f"{where}: the limit was not reached, so nothing is said of it.")
        if one.faults:
            said.append(f"{where}: in the place of answers came {one.faults}.")
    return said
