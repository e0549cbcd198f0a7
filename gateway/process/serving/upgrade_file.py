"""How the upgrades of a supervisor went, in a file beside the pid file, for who has asked for one.

That there is such a file also says that SIGUSR2 asks for an upgrade: other processes end by it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from ...serve.crew.upgrade import Upgrade
from .outcomes import UPGRADE, write_beside


class UpgradeFile:
    """The file of this process beside `pid_file`; with None there is none."""

    def __init__(self, pid_file: Path | None) -> None:
        self._path = None if pid_file is None else path_of(pid_file, os.getpid())

    def __repr__(self) -> str:
        return f"<UpgradeFile {self._path}>"

    def write(self, upgrades: tuple[Upgrade, ...] = ()) -> None:
        """Say how the last upgrades went."""
        if self._path is not None:
            write_beside(self._path, msgspec.json.encode(upgrades))

    def remove(self) -> None:
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()


def path_of(pid_file: Path, pid: int) -> Path:
    return pid_file.with_name(f"{pid_file.name}.{pid}.{UPGRADE}")


def read_upgrades(file: Path) -> list[Upgrade] | None:
    """Return what a file says; None if it is gone, or says nothing of the kind."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Upgrade])
    except (OSError, msgspec.MsgspecError):
        return None
