"""Run the micro benchmarks, all or those named, and print microseconds."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from . import __path__


def names() -> list[str]:
    """Return the modules that there are, `__main__` left out."""
    return [module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_"]


def main(chosen: Sequence[str]) -> int:
    console = Console(width=None if sys.stdout.isatty() else 100)
    if {"-h", "--help"} & set(chosen):
        console.print(f"python -m bench.micro [NAME ...]: one or more of {', '.join(names())}")
        return 0
    unknown = sorted(set(chosen) - set(names()))
    if unknown:
        console.print(f"{', '.join(unknown)}: not among {', '.join(names())}")
        return 2
    for name in chosen or names():
        # Imported one by one: what one module needs must not keep the others from running.
        run: Callable[[], dict[str, float]] = importlib.import_module(f"bench.micro.{name}").run
        table = Table(title=name, title_justify="left")
        table.add_column("what")
        table.add_column("µs", justify="right")
        for what, micros in run().items():
            table.add_row(what, f"{micros:,.3f}")
        console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
