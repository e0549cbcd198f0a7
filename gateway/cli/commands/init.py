"""`gateway init`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Final

from ...config.sources.shipped import SHIPPED
from ..program import program

_NAME: Final = "config.toml"
# Keys may come to stand in it.
_MODE: Final = 0o600
_IGNORED: Final = """\
# What the gateway writes, and what holds secrets.
/tokens.toml
/gateway.db*
/gateway.journal/
/gateway.pid*
/debug/
/.env
"""


def init(folder: Path = Path(), /) -> int:
    """Write a commented config.toml, valid as it is, and say what to do next.

    Parameters
    ----------
    folder
        Where to write it; made if need be.
    """
    path = folder / _NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_new(path, SHIPPED.read_text(), _MODE)
    except FileExistsError as exc:
        there = path if exc.filename == str(path) else folder
        sys.stderr.write(f"error: {there}: exists already; nothing was written\n")
        return 1
    except OSError as exc:
        sys.stderr.write(f"error: {path}: cannot be written: {exc.strerror or exc}\n")
        return 1
    wrote = [path]
    ignore = folder / ".gitignore"
    try:
        _write_new(ignore, _IGNORED, 0o644)
        wrote.append(ignore)
    except FileExistsError:
        pass  # a person's own
    except OSError as exc:
        sys.stderr.write(f"warning: {ignore}: cannot be written: {exc.strerror or exc}\n")
    sys.stdout.write(_next_steps(wrote, folder))
    return 0


def _write_new(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _next_steps(wrote: list[Path], folder: Path) -> str:
    name = program()
    here = folder.resolve() == Path.cwd()
    file = "" if here else f" --config {shlex.quote(str(folder / _NAME))}"
    return "\n".join(
        (
            *(f"wrote {each}" for each in wrote),
            "it is valid as it is, and answers as `demo`; to use it for real:",
            "  1. un-comment a provider and a model in it, and set the variable of the key",
            f"  2. {name} check{file}",
            f"  3. {name} tokens create my-app{file}",
            f"  4. {name} serve{file}",
            "",
        )
    )
