"""`gateway reload`, and the signal that tells a running gateway to read its configuration."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...config import load
from ...config.environment import only_unset
from ...config.paths import config_path
from ...config.pid_path import read_pid_path
from ...errors import ConfigError
from ...serve import pidfile
from ..output.plain_text import printable_line
from .check import report

if TYPE_CHECKING:
    from ...config.reload_status import ReloadOutcome

_LOOK_EVERY: Final = 0.05
# Of the names of changed settings: a reload may put a new key to every token.
_SHOWN: Final = 20


def reload_running(file: Path | None, patience: float = 30.0) -> int:
    """Have the gateways on `file` read it, and say how it went; return the exit status.

    They have `patience` seconds.
    """
    path = file or config_path()
    if not usable(path):
        return 1
    asked = time.monotonic()
    try:
        pids = signal_running(path)
        pid_file = read_pid_path(path)
    except ConfigError as exc:
        report(exc)
        return 1
    if not pids or pid_file is None:
        sys.stderr.write(f"error: {not_running_message(path)}\n")
        return 1
    deadline = asked + patience
    return max(_wait(pid_file, pid, asked, deadline, patience) for pid in pids)


def usable(path: Path) -> bool:
    """Say whether a gateway can use the file, and tell the person why not."""
    try:
        load.load(path)
    except ConfigError as exc:
        if not only_unset(exc.problems):
            report(exc)
            sys.stderr.write("nothing was sent: a running gateway keeps what it has\n")
            return False
        for problem in exc.problems:
            sys.stderr.write(f"note: {problem}\n")
        sys.stderr.write("note: not set here; that does not tell what the gateway has\n")
    return True


def _wait(pid_file: Path, pid: int, asked: float, deadline: float, patience: float) -> int:
    """Say how the reload of one process went, once all its workers have done it."""
    from ...process.serving.outcomes import files_of, read_told

    files = files_of(pid_file, pid)
    if not files:
        sys.stdout.write(f"asked process {pid} to reload; its log says how it went\n")
        return 0
    while True:
        # Looked for each time: a worker may have ended and another have begun.
        told = [read_told(file) for file in files_of(pid_file, pid)]
        done = [each.outcome for each in told if each is not None and each.began >= asked]
        if done and len(done) == len(told):
            return _say(pid, done)
        if not told:
            sys.stderr.write(f"error: process {pid} has ended\n")
            return 1
        if time.monotonic() >= deadline:
            sys.stderr.write(
                f"error: process {pid} has not reloaded within {patience:g} s; its log says how it"
                " goes\n"
            )
            return 1
        time.sleep(_LOOK_EVERY)


def _say(pid: int, outcomes: list[ReloadOutcome]) -> int:
    who = f"process {pid}" + (f" ({len(outcomes)} workers)" if len(outcomes) > 1 else "")
    for problem in _once(each.problems for each in outcomes):
        sys.stderr.write(f"error: {printable_line(problem)}\n")
    if failed := [each for each in outcomes if not each.reloaded]:
        part = "" if len(failed) == len(outcomes) else f" {len(failed)} of its workers"
        sys.stderr.write(f"error: {who}:{part} could not use it, and goes on with what it has\n")
        return 1
    changed = _once(each.changed for each in outcomes)
    more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    what = f"changed: {', '.join(changed[:_SHOWN])}{more}" if changed else "nothing has changed"
    sys.stdout.write(f"{who} has reloaded; {printable_line(what)}\n")
    for setting in _once(each.needs_restart for each in outcomes):
        sys.stderr.write(f"note: {setting} needs a restart, and stays as it was\n")
    for warning in _once(each.warnings for each in outcomes):
        sys.stderr.write(f"note: {printable_line(warning)}\n")
    return 0


def _once(groups: Iterable[tuple[str, ...]]) -> list[str]:
    return list(dict.fromkeys(each for group in groups for each in group))


def tell_running(file: Path) -> int:
    """Tell the gateways that run on `file` that it has changed, and say so; return the status."""
    try:
        pids = signal_running(file)
    except ConfigError as exc:
        report(exc)
        return 1
    told = f"told the running gateway to reload (process {', '.join(map(str, pids))})"
    missed = f"takes effect at the next start: {not_running_message(file)}"
    sys.stderr.write(f"{told if pids else missed}\n")
    return 0


def not_running_message(config_path: Path) -> str:
    """Return the message for a `signal_running` that found no process."""
    pid_file = read_pid_path(config_path)
    return (
        f"no gateway is running on {config_path}, or none with the pid file {pid_file}; one that"
        " was started with another, or without, wants a SIGHUP or a restart"
    )


def signal_running(config_path: Path) -> list[int]:
    """Tell the gateways that run on the file to reload; return their process ids, if any.

    Raises ConfigError if they can't be found or told.
    """
    path = read_pid_path(config_path)
    if path is None:
        raise ConfigError([f"{config_path}: [server] pid_file is empty, so none is found by it"])
    try:
        pids = pidfile.running(path)
    except OSError as exc:
        raise ConfigError([f"{path}: cannot be used: {exc.strerror or exc}"]) from exc
    told = []
    for pid in pids:
        try:
            os.kill(pid, signal.SIGHUP)
        except ProcessLookupError:
            # The process has ended since.
            continue
        except PermissionError as exc:
            raise ConfigError([f"{path}: process {pid} is another user's: not told"]) from exc
        told.append(pid)
    return told
