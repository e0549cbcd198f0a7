"""SIGHUP: read the configuration again.

It is always obeyed, also under `nohup`, where the process inherits that it is ignored. Only when
the terminal closes that the gateway was started in, it ends, as any program does: as by Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Final

import trio

from .surroundings.terminal import StartingTerminal

CAUSE: Final = "SIGHUP"

# Gets what caused the reload, for the log. A file that can't be used is no exception.
Reload = Callable[[str], Awaitable[object]]


class SighupReloads:
    """Takes note of SIGHUP from now on, and obeys it while `obey` runs.

    Make it before the configuration is read, so that a later change is not missed. After `obey`
    has ended the signal is still caught, so that it does not kill a process on its way out.
    """

    def __init__(self, reload: Reload, terminal: StartingTerminal | None = None) -> None:
        self._reload = reload
        self._terminal = terminal or StartingTerminal()
        self._noted = False
        # Python has signal handlers in the main thread only.
        self._possible = threading.current_thread() is threading.main_thread()
        if self._possible:
            signal.signal(signal.SIGHUP, self._note)

    def __repr__(self) -> str:
        return (
            f"<SighupReloads {'possible' if self._possible else 'impossible'}, noted={self._noted}>"
        )

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self._noted = True

    async def obey(self) -> None:
        """Reload at every SIGHUP, one reload at a time, until cancelled.

        However many come during a reload, one more follows: it began before they came.
        """
        if not self._possible:
            return
        with trio.open_signal_receiver(signal.SIGHUP) as signals:
            if self._noted:
                await self._follow()
            async for _ in signals:
                await self._follow()

    async def _follow(self) -> None:
        if self._terminal.closed:
            os.kill(os.getpid(), signal.SIGINT)
        else:
            await self._reload(CAUSE)
