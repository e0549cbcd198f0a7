"""Read a whole answer, and a stream that came instead of one up to where it is complete."""

from __future__ import annotations

from collections.abc import Callable

import trio

from ....core.dialects.base import StreamRewriter
from ....core.routing.timeouts import deadline
from ....core.wire.sse import begins, looks_like_events
from ....stops import RunningScope, running_after, stops
from ....transport_errors import UnreadableBody
from ...protocols import UpstreamResponse
from .body import opened
from .grace import END_GRACE, EndGrace

# Makes a reader of a stream, to learn from it where the stream ends.
Reader = Callable[[], StreamRewriter]


async def read_whole(
    response: UpstreamResponse, limit: int, idle: float, reader: Reader | None
) -> bytes | None:
    """Return the whole body, or None if it stalled for `idle` seconds once it had begun.

    A provider may send the head long before the answer is generated, and white space to keep
    the connection alive (DeepSeek does, api-docs.deepseek.com/quick_start/rate_limit): neither
    is a beginning, and `total` bounds that wait.

    Some servers stream whatever they are asked for and keep the connection open. Such an answer is
    read by the rules of a stream: up to its mark of the end, or for a moment after its last
    choice was complete. `reader` is None where nothing can be streamed.

    Raises UpstreamFailure; UnreadableBody over `limit` bytes, since the next answer would be as
    long and cost as much.
    """
    response, piece = await opened(response)
    # The usual case of a short answer: its body came with its head, and the transport says so.
    arrived = getattr(response, "arrived", False)
    if arrived and (reader is None or not looks_like_events(piece)):
        if len(piece) > limit:
            raise _too_large(limit)
        return piece
    # Not a list of pieces to join: thousands of small ones leave holes that the allocator keeps.
    body = bytearray()
    begun = False
    with RunningScope() as silence:
        while piece:
            body += piece
            if len(body) > limit:
                raise _too_large(limit)
            if not begun and begins(piece):
                begun = True
                if reader is not None and looks_like_events(piece):
                    break
            if begun:
                silence.deadline = deadline(trio.current_time(), idle)
            piece = await response.receive_some()
        else:
            return bytes(body)
    if silence.cancelled_caught or reader is None:
        return None
    return await _read_events(response, body, limit, idle, reader())


async def _read_events(
    response: UpstreamResponse, body: bytearray, limit: int, idle: float, stream: StreamRewriter
) -> bytes | None:
    """Return `body`, the beginning of a stream, with what follows up to the stream's end."""
    grace = EndGrace(stream)
    piece = bytes(body)
    while True:
        stream.feed(piece)
        if stream.ended:
            break
        # Comments alone are no beginning either.
        silent_at = deadline(trio.current_time(), idle if stream.meaningful else 0)
        over_at = grace.over_at() + stops().total if stream.finished else silent_at
        with RunningScope(min(silent_at, over_at)) as scope:
            piece = await response.receive_some()
        if scope.cancelled_caught:
            # Silence behind a whole answer is its end.
            return bytes(body) if stream.finished else None
        if not piece:
            return bytes(body)
        body += piece
        if len(body) > limit:
            raise _too_large(limit)
    if stream.done:
        await _read_on(response)
    return bytes(body)


async def _read_on(response: UpstreamResponse) -> None:
    """Give the body a moment to end, so that its connection can be used again."""
    with running_after(END_GRACE):
        while await response.receive_some():
            pass


def _too_large(limit: int) -> UnreadableBody:
    return UnreadableBody(f"the answer is larger than {limit} bytes")
