"""A connection that was accepted and waits for the turn of its first request.

No task runs on it: a task, its nursery and what belongs to them take more time than the answer
503, so that turning away would cost half of what serving does.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .arrival import Socket, has_left
from .entrance import Entrant


class Newcomer(Entrant):
    """`data` is what has arrived; `begin` starts a connection, `refuse` answers 503."""

    __slots__ = ("_begin", "_refuse", "data", "sock")

    def __init__(
        self,
        caller: str,
        since: float,
        sock: Socket,
        data: bytes,
        begin: Callable[[Socket, bytes, float], None],
        refuse: Callable[[Socket, bytes], None],
    ) -> None:
        super().__init__(caller, since)
        self.sock = sock
        self.data = data
        self._begin = begin
        self._refuse = refuse

    def call(self) -> None:
        if has_left(self.sock):
            self.sock.close()
        else:
            self._begin(self.sock, self.data, time.monotonic() - self.since)

    def turn_away(self) -> None:
        self._refuse(self.sock, self.data)
