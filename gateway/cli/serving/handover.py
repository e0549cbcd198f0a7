"""What a supervisor hands to the program that it becomes, through an open file without a name.

Both may be of different versions. What the one says and the other does not know is left out.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any, Final

import msgspec

from ...core.limits.ledger_state import LedgerState
from ...serve.crew.adopted import HandedMember, descriptors_of
from ...serve.crew.upgrade import Upgrade

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_LONGEST: Final = 256 * 1024 * 1024


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """`listeners`, `admin` and `pid_file` are descriptors, the last of the file at `pid_path`.
    `folder` is what the workers share, `metrics` that of their counters if the supervisor made it.

    `limits` is a `LedgerState` of `at`, by `time.monotonic()`; it is None where there is a server
    for that. `asked` says that another upgrade was asked for. `had_terminal` is what is known of
    the terminal, and `kill_after` how patient the supervisor is with workers that are to leave.
    """

    workers: int
    listeners: tuple[int, ...]
    admin: tuple[int, ...] = ()
    members: tuple[HandedMember, ...] = ()
    folder: str
    metrics: str | None = None
    pid_file: int | None = None
    pid_path: str | None = None
    upgrades: tuple[Upgrade, ...] = ()
    asked: bool = False
    at: float
    limits: Any = None
    had_terminal: bool = False
    kill_after: float

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Return all that must outlive the program."""
        pid_file = () if self.pid_file is None else (self.pid_file,)
        return (*self.listeners, *self.admin, *pid_file, *descriptors_of(self.members))

    @property
    def ledger(self) -> LedgerState | None:
        """Return the limits; None if there are none, or they are said in another way.

        Workers tell then what they know.
        """
        try:
            return None if self.limits is None else msgspec.convert(self.limits, LedgerState)
        except msgspec.ValidationError:
            return None


def write(handover: Handover) -> int:
    """Return a descriptor of a file with `handover` in it. Raises OSError."""
    with tempfile.TemporaryFile() as file:
        file.write(_ENCODE(handover))
        file.flush()
        return os.dup(file.fileno())


def read(descriptor: int) -> Handover:
    """Return what is in the file, and close it. Raises OSError and msgspec.MsgspecError."""
    try:
        return msgspec.msgpack.decode(os.pread(descriptor, _LONGEST, 0), type=Handover)
    finally:
        os.close(descriptor)
