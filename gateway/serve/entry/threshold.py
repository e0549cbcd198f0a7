"""What a request on an open connection has to pass before it begins."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from .. import gate
from ..byte_stream import ByteStream
from ..policy import ServingPolicy
from .asker import asker, body_length, is_probe
from .dismissal import Dismissal, Kind
from .entrance import Entrance, Entrant


class _Known(NamedTuple):
    """What the first bytes of a request tell: how long it is, and who asks.

    Kept for the next one: who is turned away and asks again sends the same head, and then there is
    no need to look through it. `size` is -1 of a request that is not to be turned away unparsed.
    """

    head: bytes
    size: int
    caller: str
    kind: Kind


class _Held(Entrant):
    """A request that waits in its connection's inbox."""

    __slots__ = ("_threshold", "known")

    def __init__(self, known: _Known, since: float, threshold: Threshold) -> None:
        super().__init__(known.caller, since)
        self._threshold = threshold
        self.known = known

    def call(self) -> None:
        self._threshold.called(self)

    def turn_away(self) -> None:
        self._threshold.turned_away(self)


class Threshold:
    """That of one connection. `waited` is how long its request waited for the turn that it has."""

    __slots__ = (
        "_dismissal",
        "_entrance",
        "_held",
        "_known",
        "_policy",
        "_sent_away",
        "_stream",
        "host",
        "waited",
    )

    def __init__(
        self, entrance: Entrance, dismissal: Dismissal, stream: ByteStream, policy: ServingPolicy
    ) -> None:
        self.host = ""
        self.waited: float | None = None
        self._entrance: Final = entrance
        self._dismissal: Final = dismissal
        self._stream: Final = stream
        self._policy: Final = policy
        self._known: _Known | None = None
        self._held: _Held | None = None
        self._sent_away = False

    def __repr__(self) -> str:
        return f"<Threshold of {self.host or 'a client'}>"

    @property
    def holds(self) -> bool:
        """Say whether a whole request waits in the inbox for its turn, and the task sleeps on."""
        return self._held is not None

    async def turn(self, head: bytes) -> bool:
        """Wait until the request may begin; say whether it may."""
        # Woken before its turn, since more has arrived or the server stops, it waits as others do.
        self.leave()
        if self._sent_away:
            self._sent_away = False
            return False
        if self.waited is None and not self._entrance.enter():
            self.waited = await self._entrance.turn(head, self.host)
            return self.waited is not None
        return True

    def leave(self) -> None:
        """Do not wait any more."""
        held, self._held = self._held, None
        if held is not None:
            self._entrance.forget(held)

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

    def deal_with(self, data: bytes) -> bool:
        """Line up what has just arrived, if it is a whole request, or turn it away.

        It is done without waking the task that serves the connection: many requests have to be
        turned away for each that is served, and to be woken just to wait costs that one as well.
        """
        if not self._entrance.busy:
            return False
        known = self._known
        # With the empty line at its end, it is the whole head.
        if known is None or not data.startswith(known.head):
            known = self._known = self._look_at(data)
        if len(data) != known.size:
            return False
        now = time.monotonic()
        if self._entrance.is_full_for(known.caller):
            self._entrance.note_turned_away(now)
        else:
            held = _Held(known, now, self)
            if self._entrance.line_up(held, probe=False, now=now):
                self._held = held
                self._stream.inbox += data
                return True
        answer = self._dismissal.render(known.head, close=False, kind=known.kind)
        return self._stream.write_brief(answer)

    def called(self, held: _Held) -> None:
        """Begin with the request that waits."""
        self._held = None
        self.waited = time.monotonic() - held.since
        self._stream.wake()

    def turned_away(self, held: _Held) -> None:
        """Answer 503 to the request that waits."""
        self._held = None
        known = held.known
        answer = self._dismissal.render(known.head, close=False, kind=known.kind)
        if self._stream.write_brief(answer):
            self._stream.take(known.size)
            if self._stream.torn:
                self._stream.hang_up()
        else:
            self._sent_away = True
            self._stream.wake()

    def _look_at(self, data: bytes) -> _Known:
        head = data[: data.find(b"\r\n\r\n") + 4]
        length = body_length(head)
        if length is None or is_probe(head) or gate.check_head(head, self._policy) is not None:
            return _Known(head, -1, "", (False, ""))
        return _Known(head, len(head) + length, asker(head, self.host), self._dismissal.kind(head))
