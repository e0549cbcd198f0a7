"""An app whose requests last as long as they are asked to, and end when told to.

/pid              the process
/ticks/30/0.05    30 events, one every 0.05 s, then "done"
/deaf             never ends, whatever it is told
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from gateway.lifecycle import Lifecycle

HEAD = {"type": "http.response.start", "status": 200, "headers": []}


class Ticking:
    """`watch` runs during the lifespan, as the gateway's own app does it."""

    def __init__(
        self, lifecycle: Lifecycle, watch: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._lifecycle = lifecycle
        self._watch = watch

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        words = scope["path"].strip("/").split("/")
        await send(HEAD)
        if words[0] == "ticks":
            await self._tick(send, int(words[1]), float(words[2]))
        elif words[0] == "deaf":
            await send({"type": "http.response.body", "body": b"tick ", "more_body": True})
            await trio.sleep_forever()
        else:
            pid = str(os.getpid()).encode()
            await send({"type": "http.response.body", "body": pid})

    async def _live(self, receive: Any, send: Any) -> None:
        async with trio.open_nursery() as nursery:
            if self._watch is not None:
                nursery.start_soon(self._watch)
            if (await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            nursery.cancel_scope.cancel()

    async def _tick(self, send: Any, count: int, interval: float) -> None:
        with trio.CancelScope() as cut, self._lifecycle.exchange(cut.cancel):
            for _ in range(count):
                await send({"type": "http.response.body", "body": b"tick ", "more_body": True})
                await trio.sleep(interval)
        last = b"cut" if cut.cancelled_caught else b"done"
        await send({"type": "http.response.body", "body": last})
