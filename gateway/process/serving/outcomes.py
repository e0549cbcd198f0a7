"""How the reloads of a process went, in a file beside the pid file, for who has asked for one.

`gateway reload` sends a signal, which brings no answer. So each process writes how its last reload
went; with several workers each of them does, under the supervisor's process id.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import structlog
import trio

from ...config.reload_status import ReloadOutcome
from ...serve.crew.member import WORKER

# In the place of a worker's number: what a supervisor says of upgrades.
UPGRADE: Final = "upgrade"

_log = structlog.get_logger(__name__)


class ToldOutcome(msgspec.Struct, frozen=True):
    """`began` is when the reload began: `time.monotonic()`, which all processes share."""

    began: float
    outcome: ReloadOutcome


class ToldReloads:
    """Reloads by `reload`, and writes down how each went once there is a `place`."""

    def __init__(self, reload: Callable[[str], Awaitable[ReloadOutcome]]) -> None:
        self._reload = reload
        self._file: Path | None = None
        self._written: os.stat_result | None = None

    def __repr__(self) -> str:
        return f"<ToldReloads {self._file}>"

    async def __call__(self, cause: str) -> ReloadOutcome:
        began = time.monotonic()
        outcome = await self._reload(cause)
        if self._file is not None:
            await trio.to_thread.run_sync(self._write, self._file, ToldOutcome(began, outcome))
        return outcome

    def begin(self, pid_file: Path | None, *, supervised: bool = False) -> None:
        """Write beside `pid_file` from now on, and that there was no reload yet."""
        if pid_file is None:
            return
        pid = os.getppid() if supervised else os.getpid()
        number = os.environ.get(WORKER, "0") if supervised else "0"
        file = pid_file.with_name(f"{pid_file.name}.{pid}.{number}")
        if self._write(file, ToldOutcome(0.0, ReloadOutcome(1))):
            self._file = file

    def end(self) -> None:
        """Write no more, and remove what was written; a successor's file stays."""
        file, self._file = self._file, None
        if file is not None and self._written is not None:
            with contextlib.suppress(OSError):
                if os.path.samestat(self._written, file.stat()):
                    file.unlink()

    def _write(self, file: Path, told: ToldOutcome) -> bool:
        self._written = write_beside(file, msgspec.json.encode(told))
        return self._written is not None


def write_beside(file: Path, data: bytes) -> os.stat_result | None:
    """Write a file for this user at once, and return which it is; None, and a warning, if not."""
    part = file.with_name(f"{file.name}.part")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(part, flags, 0o600), "wb") as out:
            out.write(data)
            written = os.fstat(out.fileno())
        part.replace(file)
    except OSError as exc:
        _log.warning(
            "`gateway reload` and `gateway upgrade` will not be told how it went",
            file=str(file),
            error=exc.strerror or str(exc),
        )
        return None
    return written


def files_of(pid_file: Path, pid: int) -> list[Path]:
    """Return the files of the process `pid` of a pid file, one for each of its workers."""
    prefix = f"{pid_file.name}.{pid}."
    return sorted(
        file
        for file, _ in _files(pid_file)
        if file.name.startswith(prefix) and file.suffix[1:].isdecimal()
    )


def read_told(file: Path) -> ToldOutcome | None:
    """Return what a file says; None if it is gone, or says nothing of the kind."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=ToldOutcome)
    except (OSError, msgspec.MsgspecError):
        return None


def sweep(pid_file: Path | None) -> None:
    """Remove what processes have left behind that were killed."""
    if pid_file is None:
        return
    for file, pid in [*_files(pid_file)]:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            with contextlib.suppress(OSError):
                file.unlink()
        except OSError:
            continue  # another user's, and so alive


def clear(pid_file: Path | None) -> None:
    """Remove what workers of this process have left behind, which all have left by now.

    One that was killed has removed nothing.
    """
    for file in [] if pid_file is None else files_of(pid_file, os.getpid()):
        with contextlib.suppress(OSError):
            file.unlink()


def _files(pid_file: Path) -> Iterator[tuple[Path, int]]:
    prefix: Final = f"{pid_file.name}."
    try:
        names = [entry.name for entry in os.scandir(pid_file.parent)]
    except OSError:
        return
    for name in names:
        pid, _, number = name.removeprefix(prefix).partition(".")
        known = number.isdecimal() or number == UPGRADE
        if name.startswith(prefix) and pid.isdecimal() and known:
            yield pid_file.with_name(name), int(pid)
