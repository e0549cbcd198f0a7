"""`gateway serve` without the parser of the command line, where its arguments are plain.

Cyclopts, and what it imports, would be 2 MB of every process that serves for as long as it lives,
and a tenth of its start. Help, faults and whatever else there is to be said are left to it: the
arguments that are read here mean the same there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from .start import ServeArguments

# What has a value, which member it is, and how that is read.
_OPTIONS: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "--config": ("config", Path),
    "-c": ("config", Path),
    "--bind": ("bind", str),
    "--state-dir": ("state_dir", Path),
    "--workers": ("workers", int),
    "-w": ("workers", int),
    "--listen-fds": ("listen_fds", int),
    "--lifeline-fd": ("lifeline_fd", int),
    "--ready-fd": ("ready_fd", int),
    "--admin-fds": ("admin_fds", int),
    "--handover-fd": ("handover_fd", int),
}
_SEVERAL: Final = {"listen_fds", "admin_fds"}
_NUMBER: Final = re.compile("0|[1-9][0-9]{0,8}")


def plain_arguments(words: Sequence[str]) -> ServeArguments | None:
    """Return what `words`, the arguments of the program, say; None if that is not plain."""
    if not words or words[0] != "serve":
        return None
    found: dict[str, Any] = {}
    rest = iter(words[1:])
    for word in rest:
        if word == "--trial":
            found["trial"] = True
            continue
        name, joined, value = word.partition("=")
        if name in _OPTIONS and (name.startswith("--") or not joined):
            member, read = _OPTIONS[name]
            value = value if joined else next(rest, "")
        else:
            member, read, value = "file", Path, word
        if not value or value.startswith("-") or (read is int and not _NUMBER.fullmatch(value)):
            return None
        if member in _SEVERAL:
            found[member] = (*found.get(member, ()), read(value))
        elif member in found:
            return None
        else:
            found[member] = read(value)
    return ServeArguments(**found)
