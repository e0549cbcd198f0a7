"""The terminal that a gateway was started in, and whether it has been closed.

A terminal that closes sends SIGHUP, as does a person who wants a reload. What tells them apart is
the terminal itself: the kernel takes it away from all of its processes before it sends the signal
(Linux, `tty_signal_session_leader`), and opening /dev/tty fails from then on (tty(4)).
"""

from __future__ import annotations

import os
import signal
from typing import Final

_TERMINAL: Final = "/dev/tty"


class StartingTerminal:
    """Make it before a handler for SIGHUP is set: under `nohup` the process is to outlive it.

    `had_one` is what this process knew of it before it was another program.
    """

    def __init__(self, *, had_one: bool | None = None) -> None:
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self.had_one: Final = not ignored and _is_there() if had_one is None else had_one

    def __repr__(self) -> str:
        return f"<StartingTerminal {'' if self.had_one else 'none, '}closed={self.closed}>"

    @property
    def closed(self) -> bool:
        """Whether there was one, and is none any more."""
        return self.had_one and not _is_there()


def _is_there() -> bool:
    try:
        descriptor = os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    os.close(descriptor)
    return True
