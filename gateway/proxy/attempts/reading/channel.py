"""What has been read of a stream and waits to be sent on: chunks, in a bounded channel."""

from __future__ import annotations

import contextlib

import trio


def ask_for_comment(chunks: trio.MemorySendChannel[bytes]) -> None:
    """Wake the relay, the only one who writes, with a piece of nothing."""
    with contextlib.suppress(trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
        # Full or ended: then there is something better to say.
        chunks.send_nowait(b"")


async def receive_waiting(chunks: trio.MemoryReceiveChannel[bytes]) -> bytes | None:
    """Return the next chunk and all that waits behind it; None at the end."""
    try:
        waiting = [await chunks.receive()]
    except trio.EndOfChannel:
        return None
    return take_waiting(chunks, waiting)


def take_waiting(chunks: trio.MemoryReceiveChannel[bytes], waiting: list[bytes]) -> bytes:
    """Return `waiting` and all that waits behind it, without waiting for more."""
    try:
        while True:
            waiting.append(chunks.receive_nowait())
    except (trio.WouldBlock, trio.EndOfChannel):
        # Nothing more for now; an end is found again by the next `receive`.
        return waiting[0] if len(waiting) == 1 else b"".join(waiting)
