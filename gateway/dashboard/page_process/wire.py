"""Tasks and answers as bytes: a length, a number, a kind, and what is pickled.

Both ends are the same program of the same user, and the pipe is theirs alone: that is where pickle
may be used.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncGenerator
from typing import Final, NamedTuple, Protocol

# What the gateway sends...
READ: Final = b"r"
RENDER: Final = b"t"
CANCEL: Final = b"c"
# and what it is answered.
DONE: Final = b"+"
UNAVAILABLE: Final = b"u"
FAILED: Final = b"-"

_HEAD: Final = struct.Struct(">IQc")
_CHUNK: Final = 256 * 1024


class TaskFrame(NamedTuple):
    """`kind` is one of those above; `number` is the task's."""

    number: int
    kind: bytes
    body: bytes = b""


class TaskPipe(Protocol):
    """Where bytes come from: a pipe."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray: ...


def packed(frame: TaskFrame) -> bytes:
    return _HEAD.pack(len(frame.body), frame.number, frame.kind) + frame.body


async def frames(source: TaskPipe) -> AsyncGenerator[TaskFrame, None]:
    """Yield what comes until the other end has closed the pipe."""
    held = bytearray()
    while got := await source.receive_some(_CHUNK):
        held += got
        while len(held) >= _HEAD.size:
            length, number, kind = _HEAD.unpack_from(held)
            end = _HEAD.size + length
            if len(held) < end:
                break
            yield TaskFrame(number, kind, bytes(held[_HEAD.size : end]))
            del held[:end]
