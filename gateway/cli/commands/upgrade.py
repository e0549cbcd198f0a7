"""`gateway upgrade`: a running gateway's workers are replaced by the version that is installed."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...config.paths import config_path
from ...config.pid_path import read_pid_path
from ...errors import ConfigError
from ...serve import pidfile
from ..output.plain_text import printable_line
from .check import report
from .reload import not_running_message, usable

if TYPE_CHECKING:
    from ...serve.crew.upgrade import Upgrade

_LOOK_EVERY: Final = 0.1
_NO_SUPERVISOR: Final = (
    "has no supervisor that could replace it, or one of a version that can't: it wants a restart;"
    " a gateway that was started with `--workers 1` or more is upgraded without one"
)


def upgrade_running(file: Path | None, patience: float) -> int:
    """Have the gateways on `file` upgraded, one after the other, and say how it went.

    Each has `patience` seconds. Returns the exit status.
    """
    path = file or config_path()
    if not usable(path):
        return 1
    try:
        pid_file = read_pid_path(path)
        if pid_file is None:
            raise ConfigError([f"{path}: [server] pid_file is empty, so none is found by it"])
        pids = pidfile.running(pid_file)
    except ConfigError as exc:
        report(exc)
        return 1
    except OSError as exc:
        sys.stderr.write(f"error: {pid_file}: cannot be used: {exc.strerror or exc}\n")
        return 1
    if not pids:
        sys.stderr.write(f"error: {not_running_message(path)}\n")
        return 1
    for number, pid in enumerate(pids):
        if status := _upgrade(pid_file, pid, patience):
            if rest := pids[number + 1 :]:
                others = ", ".join(map(str, rest))
                sys.stderr.write(f"note: nothing was asked of process {others}\n")
            return status
    return 0


def _upgrade(pid_file: Path, pid: int, patience: float) -> int:
    from ...process.serving.upgrade_file import path_of, read_upgrades

    told = path_of(pid_file, pid)
    if read_upgrades(told) is None:
        hidden = told.exists() and not os.access(told, os.R_OK)
        why = "is another user's: not asked" if hidden else _NO_SUPERVISOR
        sys.stderr.write(f"error: process {pid} {why}\n")
        return 1
    asked = time.monotonic()
    try:
        os.kill(pid, signal.SIGUSR2)
    except ProcessLookupError:
        sys.stderr.write(f"error: process {pid} has ended\n")
        return 1
    except PermissionError:
        sys.stderr.write(f"error: process {pid} is another user's: not asked\n")
        return 1
    return _follow(pid, told, asked, patience)


def _follow(pid: int, told: Path, asked: float, patience: float) -> int:
    from ...process.serving.upgrade_file import read_upgrades

    shown = 0
    while True:
        upgrades = read_upgrades(told)
        if upgrades is None:
            sys.stderr.write(f"error: process {pid} has ended\n")
            return 1
        own = next((each for each in upgrades if each.began >= asked), None)
        if own is not None:
            shown = _show(pid, own, shown)
            if own.ended is not None:
                return _say(pid, own)
        if not _is_there(pid):
            # It was killed, and has left its file behind.
            sys.stderr.write(f"error: process {pid} has ended\n")
            return 1
        if time.monotonic() - asked >= patience:
            sys.stderr.write(
                f"error: process {pid} has not finished within {patience:g} s; it goes on, and its"
                " log says how\n"
            )
            return 1
        time.sleep(_LOOK_EVERY)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's, and so alive
    return True


def _show(pid: int, upgrade: Upgrade, shown: int) -> int:
    for number, worker in enumerate(upgrade.processes[shown:], shown + 1):
        sys.stdout.write(
            f"process {pid}: worker {number} of {upgrade.workers} is process {worker} now, of"
            f" version {printable_line(upgrade.version)}; the one before finishes what it has\n"
        )
        sys.stdout.flush()
    return len(upgrade.processes)


def _say(pid: int, upgrade: Upgrade) -> int:
    done, all_of_them = len(upgrade.processes), upgrade.workers
    if upgrade.problem:
        sys.stderr.write(f"error: process {pid}: {printable_line(upgrade.problem)}\n")
        what = f"{done} of its {all_of_them} workers" if done else "none of its workers"
        sys.stderr.write(f"error: process {pid}: {what} replaced; those that are not go on\n")
        return 1
    version = printable_line(upgrade.version)
    sys.stdout.write(f"process {pid} has been upgraded: version {version} serves\n")
    if upgrade.supervisor:
        sys.stderr.write(
            f"note: process {pid} itself, which serves nothing, stays as it was until a restart:"
            f" {printable_line(upgrade.supervisor)}\n"
        )
    return 0
