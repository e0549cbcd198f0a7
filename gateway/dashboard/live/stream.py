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
# Seconds between two looks at whether the process is leaving, which a drain waits for.
TICK: Final = 1.0
# Seconds of silence after which a comment shows that the connection is alive.
_QUIET: Final = 15.0

# Returns the next event's name and value, or None if there is nothing new.
NextEvent = Callable[[], Awaitable[tuple[str, Any] | None]]


class OpenPages:
    """Counts the open pages of this process."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.lifecycle = lifecycle
        self.count = 0


class EventStream:
    """An answer of `text/event-stream`: asks `next_event` every `seconds`.

    Raises Overloaded instead of an answer if too many pages are open.
    """

    def __init__(self, pages: OpenPages, next_event: NextEvent, seconds: float = TICK) -> None:
        if pages.count >= MOST:
            raise Overloaded(f"{MOST} live pages are open already.", retry_after=30)
        self._pages = pages
        self._next_event = next_event
        self._seconds = seconds

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
        while not self._pages.lifecycle.leaving:
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
        for _ in range(math.ceil(self._seconds / TICK)):
            if self._pages.lifecycle.leaving:
                return
            await trio.sleep(TICK)

    async def _next(self) -> tuple[str, Any] | None:
        try:
            return await self._next_event()
        except GatewayError as exc:
            # The page says so, and is told when it works again.
            return "problem", {"message": exc.message}


def encoded(name: str, value: object) -> bytes:
    """Return one event; JSON has no line ends of its own."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(value))
