"""A request's body that comes in chunks, as h11 reads it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

import h11

from .byte_stream import ByteStream

# h11 needs some 25 us for a chunk however small it is, and one read can bring 10,000 of them:
# a quarter of a second in which every other request would wait.
_AT_ONCE: Final = 200


class Chunks(enum.Enum):
    """Whether a look at the body has found its end, all that has come, or more than that."""

    ENDED = enum.auto()
    ALL = enum.auto()
    MORE = enum.auto()


def parse_chunks(
    parser: h11.Connection | None, stream: ByteStream, keep: Callable[[bytes], None]
) -> Chunks:
    """Give `keep` what has come of the body. Raises h11.RemoteProtocolError."""
    if parser is None:
        raise TypeError("a body in chunks has no parser")
    for _ in range(_AT_ONCE):
        event = parser.next_event()
        if type(event) is h11.Data:
            keep(event.data)
        elif type(event) is h11.EndOfMessage:
            stream.put_back(parser.trailing_data[0])
            return Chunks.ENDED
        elif data := stream.take():
            parser.receive_data(data)
        else:
            return Chunks.ALL
    return Chunks.MORE
