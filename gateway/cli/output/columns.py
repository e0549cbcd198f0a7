"""Tables without lines, for other programs as well as for people."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print `rows`, of which the first is that of the names, as columns two blanks apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f"{line.rstrip()}\n")
