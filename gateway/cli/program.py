"""What the person at the command line calls this program."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_NAME: Final = "gateway"


def program(argv: Sequence[str] | None = None) -> str:
    """Return what to type to start it again from the same folder."""
    first = Path((argv or sys.argv or [_NAME])[0])
    if first.name == "__main__.py":
        return f"{_python()} -m gateway"
    found = shutil.which(_NAME)
    if first.name != _NAME or (found and os.path.realpath(found) == os.path.realpath(first)):
        return _NAME
    return shlex.quote(_shortest(first))


def _python() -> str:
    name = Path(sys.executable).name
    found = shutil.which(name)
    # Not resolved: the interpreter of a virtual environment is a link to another one.
    same = found is not None and Path(found).absolute() == Path(sys.executable).absolute()
    return name if same else shlex.quote(_shortest(Path(sys.executable)))


def _shortest(path: Path) -> str:
    absolute = path.absolute()
    try:
        inside = absolute.relative_to(Path.cwd())
    except (ValueError, OSError):
        return str(absolute)
    return str(inside) if len(inside.parts) > 1 else f"./{inside}"
