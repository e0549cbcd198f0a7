"""Results under overload as tables on the terminal and as a JSON file."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from .plan import OK, SourceCounts
from .session import PROBE, Load, Measured, OverloadResults

# From here on the harness itself may be what is measured.
_BUSY: Final = 0.8
_OTHERS_BUSY: Final = 0.1
_LATE_MS: Final = 10.0
REFUSED: Final = ("429", "503")


class Line(msgspec.Struct, frozen=True):
    """The medians of one source under one load. Rates are a second, waits milliseconds.

    `answers` are rate, p50 and p99 by status or fault; `share` is what part of the capacity its
    200s are, measured beside a gateway at its peak if that was done.
    """

    subject: str
    load: Load
    source: str
    offered: float
    share: float | None
    answers: dict[str, tuple[float, float, float]]


def lines(results: OverloadResults) -> list[Line]:
    found: list[Line] = []
    keys = dict.fromkeys((each.subject, each.load.name) for each in results.measured)
    for subject, load in keys:
        rounds = [m for m in results.measured if (m.subject, m.load.name) == (subject, load)]
        found += [
            _line(rounds, [each.counts.of(source.name) for each in rounds])
            for source in rounds[0].counts.sources
        ]
    return found


def _line(rounds: list[Measured], counts: list[SourceCounts]) -> Line:
    outcomes = dict.fromkeys(outcome for each in counts for outcome in each.answers)
    answers = {}
    for outcome in outcomes:
        waits = [each.answers[outcome] for each in counts if outcome in each.answers]
        # Missing in a round means that there was none.
        rates = [0.0] * (len(counts) - len(waits)) + [each.rate for each in waits]
        answers[outcome] = (
            statistics.median(rates),
            statistics.median(each.p50 for each in waits),
            statistics.median(each.p99 for each in waits),
        )
    shares = [
        one.answers[OK].rate / each.capacity if each.beside is None else each.beside
        for each, one in zip(rounds, counts, strict=True)
        if each.capacity and OK in one.answers
    ]
    return Line(
        subject=rounds[0].subject,
        load=rounds[0].load,
        source=counts[0].name,
        offered=statistics.median(each.offered for each in counts),
        share=statistics.median(shares) if shares and counts[0].name != PROBE else None,
        answers=answers,
    )


class Document(msgspec.Struct, frozen=True):
    """The JSON file: everything measured, its medians, and what speaks against trusting them."""

    results: OverloadResults
    lines: list[Line]
    doubts: list[str]


def write_json(results: OverloadResults, path: Path) -> None:
    document = Document(results, lines(results), doubts(results.measured))
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def show(results: OverloadResults, console: Console) -> None:
    """Print what was measured, and what speaks against trusting it."""
    console.print(", ".join(f"{key} {value}" for key, value in results.machine.items()))
    table = Table(title="under overload; times in ms since the request was due")
    for heading in ("load", "subject", "source"):
        table.add_column(heading)
    for heading in ("offered/s", "200/s", "of peak", "p50/p99", "refused/s", "p50/p99", "lost/s"):
        table.add_column(heading, justify="right")
    for line in lines(results):
        good, refused, lost = _parts(line)
        table.add_row(
            line.load.name,
            line.subject,
            line.source,
            f"{line.offered:,.0f}" if line.offered else "-",
            f"{good[0]:,.0f}",
            "-" if line.share is None else f"{line.share:.0%}",
            f"{good[1]:,.0f}/{good[2]:,.0f}",
            f"{refused[0]:,.0f}",
            f"{refused[1]:,.0f}/{refused[2]:,.0f}",
            f"{lost:,.0f}",
        )
    console.print(table)
    for doubt in doubts(results.measured):
        console.print(f"doubt: {doubt}", markup=False)


def _parts(line: Line) -> tuple[tuple[float, float, float], tuple[float, float, float], float]:
    """Return the answers, the refusals (the slower kind's times), and how much was lost."""
    none = (0.0, 0.0, 0.0)
    refusals = [line.answers[status] for status in REFUSED if status in line.answers]
    refused = (
        sum(each[0] for each in refusals),
        max((each[1] for each in refusals), default=0.0),
        max((each[2] for each in refusals), default=0.0),
    )
    rest = [each[0] for status, each in line.answers.items() if status not in (OK, *REFUSED)]
    unanswered = max(0.0, line.offered - line.answers.get(OK, none)[0] - refused[0] - sum(rest))
    return line.answers.get(OK, none), refused, sum(rest) + (unanswered if line.offered else 0.0)


def doubts(measured: Iterable[Measured]) -> list[str]:
    """Return what speaks against trusting the figures, in sentences."""
    said = []
    for one in measured:
        where = f"{one.load.name}, {one.subject}, round {one.round}"
        if one.counts.late_p99 > _LATE_MS:
            said.append(f"{where}: the load client was {one.counts.late_p99:.0f} ms late (p99).")
        if one.counts.cpu + one.provider_cpu > _BUSY:
            used = one.counts.cpu + one.provider_cpu
            said.append(f"{where}: load client and provider use {used:.0%} of their core.")
        if one.other_cpu > _OTHERS_BUSY:
            said.append(f"{where}: others on this machine used {one.other_cpu:.0%} of a core.")
        if one.load.times and one.cpu < 0.95 and one.load.times > 1:
            said.append(f"{where}: the gateway had only {one.cpu:.0%} of its core.")
    return said
