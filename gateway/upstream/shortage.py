"""Our own lack of descriptors, memory or ports, told apart from a provider's failure."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from typing import Final

import structlog
import trio

from ..tcp import SHORTAGE
from ..transport_errors import LocalShortage

# Seconds between two lines in the log while a shortage lasts: every request may meet it.
INTERVAL: Final = 10.0

_log = structlog.get_logger(__name__)


def shortage(exc: BaseException) -> OSError | None:
    """Return what we were short of if that made `exc`, which opening or using a connection raised.

    An address that was not tried for lack of a descriptor may be the one that works, so one such
    error among several decides. EADDRNOTAVAIL means that no local port is left (connect(2)), but
    also that the machine has no such addresses as `::1`, so it counts only where no other address
    of the name was tried.
    """
    found = list(_causes(exc))
    for each in found:
        if isinstance(each, socket.gaierror):
            if each.errno == socket.EAI_MEMORY:
                return each
        elif isinstance(each, OSError) and each.errno in SHORTAGE:
            return each
    ports = [
        each for each in found if isinstance(each, OSError) and each.errno == errno.EADDRNOTAVAIL
    ]
    return ports[0] if ports and len(ports) == len(found) else None


def check_descriptors() -> None:
    """Raise OSError if the process can open nothing any more.

    `getaddrinfo` calls it a temporary failure of the name server when it cannot open a socket.
    """
    os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))


class ShortageLog:
    """Logs a shortage once per `INTERVAL`."""

    def __init__(self) -> None:
        self._next = 0.0
        self._untold = 0

    def __repr__(self) -> str:
        return f"<ShortageLog, {self._untold} untold>"

    def note_if_it_is_one(self, exc: BaseException) -> None:
        """Take note of what a call has failed with, if it was a shortage."""
        if isinstance(exc, LocalShortage):
            self.note(str(exc))

    def note(self, error: str) -> None:
        """Take note that a connection could not be opened or used for want of something of ours."""
        self._untold += 1
        now = trio.current_time()
        if now >= self._next:
            self._next = now + INTERVAL
            count, self._untold = self._untold, 0
            _log.error("the gateway itself is short of resources", error=error, connections=count)


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """Yield the innermost causes."""
    if isinstance(exc, BaseExceptionGroup):
        for inner in exc.exceptions:
            yield from _causes(inner)
    elif isinstance(exc.__cause__, Exception):
        yield from _causes(exc.__cause__)
    else:
        yield exc
