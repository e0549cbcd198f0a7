"""Results as tables on the terminal and as a JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from .results import START_UP_RSS, START_UP_SECONDS, Ratio, Results, Row, ratios, rows, start_up
from .scenarios import SCENARIOS

# Above this share of a core the harness itself may be what is measured.
_BUSY: Final = 0.8
_OTHERS_BUSY: Final = 0.1
# A provider that is later than this does not keep its pace.
_LATE_MS: Final = 20.0


class Document(msgspec.Struct, frozen=True):
    """The JSON file: everything measured, and what follows from it."""

    results: Results
    rows: list[Row]
    ratios: list[Ratio]


def write_json(results: Results, path: Path) -> None:
    document = Document(results, rows(results), ratios(results))
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def show(results: Results, console: Console) -> None:
    """Print the results: a table for each scenario, start-up, ratios, doubts."""
    console.print(", ".join(f"{key} {value}" for key, value in results.machine.items()))
    for note in results.notes:
        console.print(f"- {note}", markup=False)
    found = rows(results)
    for name in results.scenarios():
        console.print(_table(name, [row for row in found if row.scenario == name]))
    console.print(_start_ups(results))
    compared = ratios(results)
    if compared:
        console.print(_ratios(compared))
    for doubt in doubts(found):
        console.print(f"doubt: {doubt}", markup=False)


def doubts(found: list[Row]) -> list[str]:
    """Return what speaks against trusting the figures, in sentences."""
    said = []
    for row in found:
        where = f"{row.scenario}, {row.subject}"
        _, load, provider = row.busy
        # The provider is the subject of a direct run: it may be as busy as it likes.
        harness = load if row.subject == "direct" else load + provider
        if harness > _BUSY:
            said.append(f"{where}: load client and provider use {harness:.0%} of their core.")
        if row.other > _OTHERS_BUSY:
            said.append(f"{where}: others on this machine used up to {row.other:.0%} of a core.")
        if row.late_ms > _LATE_MS:
            said.append(f"{where}: the provider was up to {row.late_ms:.0f} ms behind its pace.")
        offered = SCENARIOS[row.scenario].offered
        if offered and row.events < offered * 0.97:
            said.append(
                f"{where}: {row.events:.0f} events/s of {offered:.0f} offered: it does not keep up,"
                " and its delays grow for as long as the load lasts."
            )
        if row.errors:
            said.append(f"{where}: {sum(row.errors.values())} errors: {row.errors}")
    return said


def _table(name: str, found: list[Row]) -> Table:
    scenario = SCENARIOS[name]
    offered = f", {scenario.offered:.0f} events/s offered" if scenario.offered else ""
    table = Table(title=f"{name}: {scenario.title}{offered}", title_justify="left")
    table.add_column("subject")
    for heading in (
        "req/s",
        "events/s",
        f"CPU µs/{scenario.unit}",
        "± rounds",
        "first ms p50/p99",
        "delay ms p50/p99",
        "added ms p50/p99",
        "RSS MB",
        "busy: it/load/prov.",
        "errors",
    ):
        table.add_column(heading, justify="right")
    for row in found:
        table.add_row(
            row.subject,
            f"{row.requests:,.0f}",
            f"{row.events:,.0f}" if scenario.events else "-",
            "-" if row.cost is None else f"{row.cost:,.1f}",
            "-" if row.spread is None else f"{row.spread:,.1f}",
            _millis(row.first),
            _millis(row.delay),
            "-" if row.subject == "direct" else _millis(row.added),
            f"{row.rss / 1e6:.0f}",
            "/".join(f"{share:.0%}" for share in row.busy),
            str(sum(row.errors.values())),
        )
    return table


def _start_ups(results: Results) -> Table:
    table = Table(title="start-up: from process start to first answer", title_justify="left")
    for heading in ("subject", "seconds", "RSS MB", "target"):
        table.add_column(heading, justify="left" if heading == "subject" else "right")
    for subject in dict.fromkeys(start.subject for start in results.start_ups):
        found = start_up(results, subject)
        assert found is not None
        seconds, rss = found
        verdict = ""
        if subject == "gateway":
            within = seconds < START_UP_SECONDS and rss <= START_UP_RSS
            verdict = f"< {START_UP_SECONDS} s, ≤ {START_UP_RSS / 1e6:.0f} MB: {_verdict(within)}"
        table.add_row(subject, f"{seconds:.2f}", f"{rss / 1e6:.0f}", verdict)
    return table


def _ratios(compared: list[Ratio]) -> Table:
    table = Table(title="CPU of the gateway over CPU of the others", title_justify="left")
    for heading in ("scenario", "over", "ratio", "", "target", ""):
        table.add_column(heading, justify="right" if heading == "ratio" else "left")
    for one in compared:
        inverse = f"= 1/{1 / one.ratio:.1f}" if one.ratio < 1 else ""
        verdict = "" if one.ok is None else _verdict(one.ok)
        table.add_row(one.scenario, one.over, f"{one.ratio:.3f}", inverse, one.text, verdict)
    return table


def _verdict(ok: bool) -> str:
    return "[green]ok[/]" if ok else "[red]miss[/]"


def _millis(pair: tuple[float, float] | None) -> str:
    return "-" if pair is None else f"{pair[0] / 1e3:.2f}/{pair[1] / 1e3:.2f}"
