"""`gateway reload`, and the signal that tells a running gateway to read its configuration."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from ...config import load
from ...config.environment import only_unset
from ...config.paths import config_path
from ...config.pid_path import read_pid_path
from ...errors import ConfigError
from ...serve import pidfile
from .check import report


def reload_running(file: Path | None) -> int:
    """Check `file` and tell the gateways that run on it to read it; return the exit status."""
    path = file or config_path()
    try:
        load.load(path)
    except ConfigError as exc:
        if not only_unset(exc.problems):
            report(exc)
            sys.stderr.write("nothing was sent: a running gateway keeps what it has\n")
            return 1
        for problem in exc.problems:
            sys.stderr.write(f"note: {problem}\n")
        sys.stderr.write("note: not set here; that does not tell what the gateway has\n")
    try:
        pids = signal_running(path)
    except ConfigError as exc:
        report(exc)
        return 1
    for pid in pids:
        sys.stdout.write(f"asked process {pid} to reload; its log says how it went\n")
    if not pids:
        sys.stderr.write(f"error: {not_running_message(path)}\n")
    return 0 if pids else 1


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
        raise ConfigError([f"{config_path}: [server] pid_file is empty, so nobody is found by it"])
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
