"""`gateway import`: other gateways' configurations as ours."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ...errors import ConfigError
from ..commands.check import report
from ..output.plain_text import printable_line
from ..program import program

_MODE: Final = 0o600

app = App(name="import", help="Make a configuration of another gateway's.")


@app.command
def litellm(
    file: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("config.toml"),
    stdout: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> int:
    """Write a LiteLLM config.yaml as our configuration, and list what has no counterpart.

    Models, keys by environment, fallbacks, aliases, settings of the router and budgets are taken
    over. Keys that stand in the file are not copied: their variables are named.

    Parameters
    ----------
    file
        LiteLLM's file; files that it includes are read, too.
    output
        Where to write ours, which must not exist.
    stdout
        Write ours to stdout instead.
    """
    # Imported late: what nearly no start of the program needs.
    from .conversion import convert

    try:
        text, lines = convert(file)
    except ConfigError as exc:
        report(exc)
        return 1
    if stdout:
        sys.stdout.write(text)
    else:
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(output, flags, _MODE), "w", encoding="utf-8") as out:
                out.write(text)
        except OSError as exc:
            sys.stderr.write(f"error: {output}: cannot be written: {exc.strerror}\n")
            return 1
    for line in lines:
        sys.stderr.write(f"note: {printable_line(line)}\n")
    if not stdout:
        sys.stdout.write(f"wrote {output}; next: {program()} check {output}\n")
    return 0
