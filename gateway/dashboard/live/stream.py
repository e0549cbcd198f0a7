"""One open page: its events, until it leaves or the process does."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import trio
from starlette.types import Receive, Scope, Send

from ...errors import GatewayError, Overloaded
from ...lifecycle import Lifecycle

# Open pages of one process. Each costs a query now and then.
MOST: Final = 64
# Seconds of silence after which a comment shows that the connection is alive.
_QUIET: Final = 15.0
# All pages look at the same moments, so that what they share is read once a look, and each sees it
# fresh. They are a little apart: the event loop is to be free for requests between any two.
_PLACES: Final = 8
_APART: Final = 0.02
_NEARLY: Final = 0.25

# Returns the next event's name and value, or None if there is nothing new.
NextEvent = Callable[[], Awaitable[tuple[str, Any] | None]]


class OpenPages:
    """Counts the open pages of this process; `left` is set when it begins to leave."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.count = 0
        self.left: Final = trio.Event()
        self._opened = 0
        if lifecycle.leaving:
            self.left.set()
        lifecycle.when_leaving(self.left.set)

    def place(self) -> float:
        """Return by how many seconds a new page looks later than the first."""
        self._opened += 1
        return self._opened % _PLACES * _APART


class EventStream:
    """An answer of `text/event-stream`: asks `next_event` every `seconds`.

    Raises Overloaded instead of an answer if too many pages are open.
    """

    def __init__(self, pages: OpenPages, next_event: NextEvent, seconds: float) -> None:
        if pages.count >= MOST:
            raise Overloaded(f"{MOST} live pages are open already.", retry_after=30)
        self._pages = pages
        self._next_event = next_event
        self._seconds = seconds
        self._place = pages.place()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A caller that leaves cancels all of this: see `cancel_on_disconnect`.
        self._pages.count += 1
        try:
            headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            # At once: a server may hold a head back until something follows it.
            await send({"type": "http.response.body", "body": b": hello\n\n", "more_body": True})
            await self._run(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._pages.count -= 1

    async def _run(self, send: Send) -> None:
        heard = trio.current_time()
        while not self._pages.left.is_set():
            event = await self._next()
            now = trio.current_time()
            data = b""
            if event is not None:
                data = encoded(*event)
            elif now - heard >= _QUIET:
                data = b": still here\n\n"
            if data:
                heard = now
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await self._pause()

    async def _pause(self) -> None:
        """Wait for the next look, or until the process is leaving."""
        # Whole looks since the clock's zero; one that is nearly due was had a moment ago.
        looks = math.floor((trio.current_time() - self._place) / self._seconds + _NEARLY) + 1
        with trio.move_on_at(looks * self._seconds + self._place):
            await self._pages.left.wait()

    async def _next(self) -> tuple[str, Any] | None:
        try:
            return await self._next_event()
        except GatewayError as exc:
            # The page says so, and is told when it works again.
            return "problem", {"message": exc.message}


def encoded(name: str, value: object) -> bytes:
    """Return one event; JSON has no line ends of its own."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(value))
