"""Several worker processes behind the same listening sockets.

Hypercorn's own parent stops everything when one worker dies, exits with 0 then, and kills the
workers that still drain once the first of them is done. This one starts a dead worker again
and waits for all of them. The sockets are opened once and inherited, so no connection is
refused while a worker is away; the kernel hands each new one to a worker that accepts.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Final

import trio

from ..surroundings.terminal import StartingTerminal
from .crew import Crew
from .upgrade import Upgrades

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)


async def supervise(
    crew: Crew,
    *,
    sockets: Sequence[socket.socket],
    kill_after: float,
    upgrades: Upgrades | None = None,
    terminal: StartingTerminal | None = None,
) -> int:
    """Keep the crew's processes running until a signal; return the exit status.

    Takes the sockets over. SIGTERM and SIGINT are forwarded and then awaited, SIGHUP is only
    forwarded; from a terminal that has closed it is SIGINT. SIGUSR2 asks for an upgrade.
    `kill_after` seconds after the first of them the workers still there are killed. The status is 0
    if every worker left cleanly after the signal, else 1.
    """
    terminal = terminal or StartingTerminal()
    with trio.open_signal_receiver(*SIGNALS) as signals:
        # Whoever was this process before has held back what came while it was replaced.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        async with trio.open_nursery() as nursery:
            forwarding = _Forwarding(crew, sockets, kill_after, terminal, upgrades)
            nursery.start_soon(forwarding.run, signals)
            if upgrades is not None:
                nursery.start_soon(upgrades.run)
            await crew.run()
            nursery.cancel_scope.cancel("every worker has left")
    return crew.status


class _Forwarding:
    def __init__(
        self,
        crew: Crew,
        sockets: Sequence[socket.socket],
        kill_after: float,
        terminal: StartingTerminal,
        upgrades: Upgrades | None,
    ) -> None:
        self._crew = crew
        self._sockets = sockets
        self._kill_after = kill_after
        self._terminal = terminal
        self._upgrades = upgrades

    async def run(self, signals: AsyncIterator[int]) -> None:
        leaving = self._crew.leaving
        async with trio.open_nursery() as nursery:
            async for received in signals:
                if received == signal.SIGUSR2:
                    if self._upgrades is not None and not leaving.is_set():
                        self._upgrades.ask()
                    continue
                closed = received == signal.SIGHUP and self._terminal.closed
                signum = signal.SIGINT if closed else received
                if signum != signal.SIGHUP and not leaving.is_set():
                    leaving.set()
                    # Or clients would go on queueing here after the workers stopped accepting.
                    for sock in self._sockets:
                        sock.close()
                    nursery.start_soon(self._kill_later)
                self._crew.send_signal(signum)

    async def _kill_later(self) -> None:
        await trio.sleep(self._kill_after)
        self._crew.kill()
