"""The tables of docs/ have every metric with its labels, every field, column and action."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from gateway.core.records.audit import AuditAction
from gateway.core.records.record import AttemptRecord, Record, SkipRecord
from gateway.store.engine.schema import attempts, requests
from gateway.telemetry.metrics import families

from ..telemetry.samples import BOUNDS

DOCS: Final = Path(__file__).parents[2] / "docs"
QUOTED: Final = re.compile(r"`(\w+)`")


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the tables below `heading`, up to the next one of any level."""
    text = (DOCS / page).read_text()
    section = re.split(r"(?m)^#", text.split(f"\n{heading}\n", 1)[1], maxsplit=1)[0]
    lines = (line for line in section.splitlines() if re.match(r"\| `", line))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(found: list[list[str]]) -> list[str]:
    return [name for cells in found for name in QUOTED.findall(cells[0])]


def test_metrics_with_their_labels() -> None:
    table = families.table(families.gap_family(BOUNDS))
    exported = {
        f"{name}_total" if family.kind is families.MetricKind.COUNTER else name: [*family.labels]
        for name, family in table.items()
    }
    documented: dict[str, list[str]] = {}
    for cells in rows("records.md", "## Metrics"):
        labels = [QUOTED.findall(part) for part in cells[1].split(";")]
        for number, name in enumerate(QUOTED.findall(cells[0])):
            assert name not in documented, name
            documented[name] = labels[min(number, len(labels) - 1)]
    assert {name: sorted(found) for name, found in documented.items()} == {
        name: sorted(found) for name, found in exported.items()
    }


def test_fields_of_the_lines_on_stdout() -> None:
    table = rows("operations.md", "## The request log on stdout")
    assert sorted(names(table)) == sorted(Record.__struct_fields__)
    cells = {QUOTED.findall(row[0])[0]: row[1] for row in table}
    for name, kind in (("attempts", AttemptRecord), ("skipped", SkipRecord)):
        assert set(QUOTED.findall(cells[name])) >= {*kind.__struct_fields__}, name


def test_columns_of_the_database() -> None:
    found = rows("records.md", "## The request log")
    place = next(n for n, row in enumerate(found) if "`number`" in row[0])
    assert sorted(names(found[:place])) == sorted(requests.c.keys())
    # Its own key is for nobody to read.
    assert sorted(names(found[place:])) == sorted({*attempts.c.keys()} - {"id"})


def test_actions_of_the_audit_log() -> None:
    found = rows("records.md", "## The audit log")
    end = next(n for n, row in enumerate(found) if row[0] == "`admin`")
    assert {*names(found[1:end])} - {"actor_kind"} == {each.value for each in AuditAction}


def test_a_line_has_the_fields_of_a_record() -> None:
    line = msgspec.to_builtins(Record(request_id="x", time=0.0))
    assert line.keys() == {*Record.__struct_fields__}
