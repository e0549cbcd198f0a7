"""The least that an ASGI app under Hypercorn can do: the floor that a gateway stands on.

It answers from memory what the fake provider would, and asks nobody: what it costs is Hypercorn's
Trio worker and Trio itself. Served by the stock command: `hypercorn -k trio bench.bare:app`.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import trio

from .chunks import Stream, completion

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MODEL: Final = "bench"
_ORDER: Final = re.compile(rb"bench events=(\d+) pace=(\d+)")
_COMPLETION: Final = completion(MODEL)
_JSON: Final = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_COMPLETION)).encode()),
]
_EVENTS: Final = [(b"content-type", b"text/event-stream; charset=utf-8")]


@functools.cache
def _stream(events: int) -> Stream:
    return Stream(MODEL, events, usage=False, framed=False)


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    order = _ORDER.search(body)
    events, pace = (int(order[1]), int(order[2])) if order else (0, 0)
    headers = _EVENTS if events else _JSON
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if not events:
        await send({"type": "http.response.body", "body": _COMPLETION})
        return
    stream = _stream(events)
    if pace:
        await _paced(stream, pace / 1000, send)
    else:
        burst = stream.burst(time.monotonic_ns())
        await send({"type": "http.response.body", "body": burst, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _paced(stream: Stream, pace: float, send: Send) -> None:
    due = trio.current_time()
    for index in range(len(stream)):
        due += pace
        await trio.sleep_until(due)
        event = stream.piece(index, time.monotonic_ns())
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": stream.end, "more_body": True})


async def _lifespan(receive: Receive, send: Send) -> None:
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})
