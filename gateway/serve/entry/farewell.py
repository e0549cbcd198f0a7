"""Turns new connections away: the 503, and the end.

It is done for four connections while one is served, so each system call counts, and each packet:
the answer is held back in the kernel (MSG_MORE of send(2)) until the end that follows is sent with
it. One packet less to pass through the loopback or a driver, and one waking of the client, are a
sixth of what turning away costs.
"""

from __future__ import annotations

import socket
from typing import Final

import trio

from .arrival import Socket
from .dismissal import Dismissal
from .glance import Glance, Glances
from .lingering import Lingering

_MORE: Final = socket.MSG_DONTWAIT | getattr(socket, "MSG_MORE", 0)


class Farewell:
    def __init__(self, dismissal: Dismissal) -> None:
        self.lingering: Final = Lingering()
        self._dismissal = dismissal
        self._glances = Glances()

    def __repr__(self) -> str:
        return f"<Farewell, {self.lingering!r}>"

    def look(self, data: bytes) -> Glance:
        """Return what `data` tells, which has come with a connection."""
        return self._glances.at(data, self._dismissal)

    def refuse(self, sock: Socket, data: bytes, glance: Glance | None = None) -> None:
        """Answer 503 to `data` and close `sock`, at once if nothing of the request can follow."""
        if glance is None:
            glance = self.look(data)
        try:
            # An empty buffer takes it whole.
            sock.send(self._dismissal.render(data, close=True, kind=glance.kind), _MORE)
        except OSError:
            sock.close()
            return
        if glance.size is not None and len(data) >= glance.size:
            sock.close()
        else:
            self.lingering.add(sock, trio.current_time())
