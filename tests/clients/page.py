"""`docs/compatibility.md`: tables that tests fill with what they have found.

A table stands between two marks. A test that has filled one calls `check_table`, which fails if the
page says anything else; with `UPDATE_COMPATIBILITY=1` it writes the page instead.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from ..end_to_end.harness import ROOT

PAGE: Final = ROOT / "docs" / "compatibility.md"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def check_table(name: str, text: str) -> None:
    """Hold the page to have `text` as its table `name`."""
    begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
    page = PAGE.read_text()
    before, _, rest = page.partition(begin)
    now, closed, behind = rest.partition(end)
    assert closed, f"{PAGE} has no place for the table {name!r}"
    if os.environ.get("UPDATE_COMPATIBILITY"):
        PAGE.write_text(f"{before}{begin}{text}{end}{behind}")
        return
    assert now == text, (
        f"{PAGE} does not say what was found: UPDATE_COMPATIBILITY=1 pytest tests/clients"
    )
