"""The private directory in which the workers of one gateway have their sockets.

`gateway serve --workers` makes it and names it in the environment of its workers; under another
parent there is none, and a process knows of itself only.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from ..private_folder import kept_directory, made_directory

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
        """Return whom to ask: all workers, and those that make way and have not left yet."""
        numbers = {*range(self.count), *_made_way(self.folder, self.count)}
        return tuple(sorted(numbers - {self.number}))

    @property
    def limits(self) -> Path:
        return limits_socket(self.folder)

    def socket_of(self, number: int) -> Path:
        return self.folder / f"{number}.sock"


def limits_socket(folder: Path) -> Path:
    """Return where the supervisor is asked about limits."""
    return folder / "limits.sock"


@contextmanager
def making_way(folder: Path, count: int, number: int) -> Iterator[Callable[[], None]]:
    """Have the worker `number` of `count` be asked at another number while a successor starts.

    It stays there if what this yields is called, and is asked no more at the end; otherwise it gets
    its number back.
    """
    own = folder / f"{number}.sock"
    aside = folder / f"{max([count - 1, *_made_way(folder, count)]) + 1}.sock"
    # A worker that has no socket is asked nothing.
    with suppress(FileNotFoundError):
        own.rename(aside)
    taken = False

    def take() -> None:
        nonlocal taken
        taken = True

    try:
        yield take
    finally:
        with suppress(FileNotFoundError):
            if taken:
                aside.unlink()
            else:
                aside.rename(own)


def _made_way(folder: Path, count: int) -> list[int]:
    try:
        names = [each.name.removesuffix(".sock") for each in folder.iterdir()]
    except OSError:
        return []
    return [int(name) for name in names if name.isdecimal() and int(name) >= count]


@contextmanager
def group_directory(adopted: Path | None = None) -> Iterator[Path]:
    """Make a directory that only this user may enter, removed at the end. Raises OSError.

    One that was `adopted` is there already, made by this process when it was another program, and
    held by its workers meanwhile.
    """
    if adopted is not None:
        with kept_directory(adopted):
            yield adopted
        return
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > _LONGEST - len("/gateway-group-12345678/999.sock"):
        parent = _SHORT
    with made_directory("gateway-group-", parent) as made:
        yield made


def membership(environment: Mapping[str, str], worker: str, workers: str) -> Membership | None:
    """Return the place that the environment gives this process; None if it is alone.

    `worker` and `workers` name the variables with its number and with how many there are.
    """
    folder = environment.get(VARIABLE, "")
    number, count = environment.get(worker, ""), environment.get(workers, "")
    if not folder or not number.isdecimal() or not count.isdecimal() or int(count) < 1:
        return None
    return Membership(Path(folder), int(number), int(count))
