"""Whether the code that is now on disk can serve, found out in a process of its own.

A supervisor asks this before it puts that code in the place of what runs. What is broken at the
import of anything that serves ends the trial, and so does a configuration that cannot be used.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio

from ... import __version__
from ...config.checks.vanished import opened
from ...config.sources.demo import FileOrDemo
from ...errors import ConfigError
from ...process.serving.renewal import RenewedCertificates
from ..commands.check import report
from . import loading

# Seconds for a trial: mostly imports, on a machine that is busy.
PATIENCE: Final = 60.0
# Of what a trial says, at most, from its end.
_LONGEST: Final = 2000


def started_by() -> list[str]:
    """Return the command that this process was started by, as far as the program's name.

    The name is not resolved: behind a link there may be another version by now.
    """
    script = Path(sys.argv[0])
    if script.name != "__main__.py" and os.access(script, os.X_OK) and script.is_file():
        return [os.path.abspath(script)]
    return [sys.executable, "-m", "gateway"]


def try_out(file: Path | None, bind: str | None) -> int:
    """Say whether this code can serve `file`; return the exit status."""
    # The supervisor imports this module, but nothing of what serves.
    from . import one  # noqa: F401

    return check(file, bind)


def check(file: Path | None, bind: str | None) -> int:
    """Say whether the configuration can be used; return the exit status."""
    source = FileOrDemo(file)
    try:
        config = loading.read(source, bind)
        if problem := opened(loading.WITH_TOKENS in os.environ, config):
            raise ConfigError([f"{source.path}: {problem}"])
        RenewedCertificates().read(config, source.path)
    except ConfigError as exc:
        report(exc)
        return 1
    sys.stdout.write(f"{__version__}\n")
    return 0


async def tried(command: Sequence[str], pass_fds: Sequence[int] = ()) -> str:
    """Run a trial by `command`; return why it has failed, else ""."""
    done = None
    try:
        with trio.move_on_after(PATIENCE):
            done = await trio.run_process(
                [*command],
                stdin=subprocess.DEVNULL,
                pass_fds=pass_fds,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
    except OSError as exc:
        return f"{command[0]} can't be started: {exc.strerror or exc}"
    if done is None:
        return f"the code on disk said nothing within {PATIENCE:g} s"
    if done.returncode == 0:
        return ""
    said = done.stderr.decode(errors="replace").strip()
    lines = [line.removeprefix("error: ") for line in said[-_LONGEST:].splitlines()]
    if not lines:
        return f"the code on disk left with status {done.returncode}"
    if "Traceback" in said:
        return f"the code on disk is broken: {lines[-1]}"
    return f"the code on disk can't serve: {'; '.join(lines)}"
