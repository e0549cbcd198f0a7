"""What a request on an open connection has to pass before it begins."""

from __future__ import annotations

import time
from typing import Final

from .. import gate
from ..byte_stream import ByteStream
from ..policy import ServingPolicy
from .asker import body_length
from .dismissal import Dismissal
from .entrance import Entrance


class Threshold:
    """That of one connection. `waited` is how long its request waited for the turn that it has."""

    __slots__ = ("_dismissal", "_entrance", "_policy", "_stream", "host", "waited")

    def __init__(
        self, entrance: Entrance, dismissal: Dismissal, stream: ByteStream, policy: ServingPolicy
    ) -> None:
        self.host = ""
        self.waited: float | None = None
        self._entrance: Final = entrance
        self._dismissal: Final = dismissal
        self._stream: Final = stream
        self._policy: Final = policy

    def __repr__(self) -> str:
        return f"<Threshold of {self.host or 'a client'}>"

    async def turn(self, head: bytes) -> bool:
        """Wait until the request may begin; say whether it may."""
        if self.waited is None and not self._entrance.enter():
            self.waited = await self._entrance.turn(head, self.host)
            return self.waited is not None
        return True

    def begin(self) -> float:
        """Return how long the request that begins has waited; the next needs a turn of its own."""
        waited, self.waited = self.waited, None
        return waited or 0.0

    async def turn_away(self, head: bytes) -> bool:
        """Answer 503 and keep the connection, if the request's end can be told; say whether.

        To close it would cost more: its client then comes back with a new one.
        """
        length = body_length(head)
        if length is None or length > len(self._stream.inbox):
            return False
        self._stream.take(length)
        await self._stream.write(self._dismissal.render(head, close=False))
        return True

    def brush_off(self) -> bool:
        """Turn away what has just arrived, if it is a whole request and there is no room for it.

        The reader does it, without waking the other task: that is a third of the price, and many
        requests have to be turned away for each that is served.
        """
        if not self._entrance.busy:
            return False
        inbox = self._stream.inbox
        end = inbox.find(b"\r\n\r\n") + 4
        head = bytes(inbox[:end])
        if body_length(head) != len(inbox) - end or not self._entrance.shut_to(head, self.host):
            return False
        if gate.check_head(head, self._policy) is not None:
            return False
        if not self._stream.write_brief(self._dismissal.render(head, close=False)):
            return False
        self._entrance.note_turned_away(time.monotonic())
        inbox.clear()
        return True
