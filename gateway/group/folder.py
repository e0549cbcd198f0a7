"""The private directory in which the workers of one gateway have their sockets.

`gateway serve --workers` makes it and names it in the environment of its workers; under another
parent there is none, and a process knows of itself only.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

VARIABLE: Final = "GATEWAY_GROUP_DIR"
# sun_path of unix(7) has 108 bytes with the zero at its end, on other systems 104.
_LONGEST: Final = 103
# Where there is a directory for everybody whose name is short.
_SHORT: Final = "/tmp"  # noqa: S108  # what is made in it is private


class Membership(msgspec.Struct, frozen=True):
    """Worker `number` of `count`, and the directory of all their sockets."""

    folder: Path
    number: int
    count: int

    @property
    def own(self) -> Path:
        return self.socket_of(self.number)

    @property
    def others(self) -> tuple[int, ...]:
        return tuple(number for number in range(self.count) if number != self.number)

    def socket_of(self, number: int) -> Path:
        return self.folder / f"{number}.sock"


@contextmanager
def group_directory() -> Iterator[Path]:
    """Make a directory that only this user may enter, removed at the end. Raises OSError."""
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > _LONGEST - len("/gateway-group-12345678/999.sock"):
        parent = _SHORT
    with tempfile.TemporaryDirectory(prefix="gateway-group-", dir=parent) as name:
        # The lock keeps systemd-tmpfiles away, which otherwise removes what looks unused for ten
        # days (tmpfiles.d(5)).
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield Path(name)
        finally:
            os.close(descriptor)


def membership(environment: Mapping[str, str], worker: str, workers: str) -> Membership | None:
    """Return the place that the environment gives this process; None if it is alone.

    `worker` and `workers` name the variables with its number and with how many there are.
    """
    folder = environment.get(VARIABLE, "")
    number, count = environment.get(worker, ""), environment.get(workers, "")
    if not folder or not number.isdecimal() or not count.isdecimal() or int(count) < 2:
        return None
    return Membership(Path(folder), int(number), int(count))
