"""Tables without lines, and JSON, for other programs as well as for people.

Names may hold what a terminal takes for a command: callers and administrators choose them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from .plain_text import printable_json, printable_line


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print `rows`, of which the first is that of the names, as columns two blanks apart."""
    shown = [[*map(printable_line, row)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f"{line.rstrip()}\n")


def print_json(found: object) -> None:
    """Print a document, indented."""
    text = msgspec.json.format(msgspec.json.encode(found), indent=2).decode()
    sys.stdout.write(f"{printable_json(text)}\n")
