"""Whole messages of frames, to be looked at. The frames themselves go on as they came."""

from __future__ import annotations

from collections.abc import Callable

from ...core.wire.binary.socket_frames import SocketClose, SocketFrame
from .sockets import FrameSource

_OBJECT = b"{"


class MessageParts:
    """Puts the frames of one side together. A side bounds its messages itself."""

    def __init__(self) -> None:
        self._parts: list[SocketFrame] = []

    def add(self, frame: SocketFrame) -> str | None:
        """Return the text of the message that `frame` ends; None for what is none, or not whole.

        Bytes that could be an object of JSON are a text: there are servers that read them so.
        """
        self._parts.append(frame)
        if frame.more:
            return None
        parts, self._parts = self._parts, []
        if isinstance(frame.data, str):
            return frame.data if len(parts) == 1 else "".join(str(each.data) for each in parts)
        data = b"".join(each.data for each in parts if isinstance(each.data, bytes))
        if not data.lstrip().startswith(_OBJECT):
            return None
        try:
            return data.decode()
        except UnicodeDecodeError:
            return None


def masked(frame: SocketFrame, mask: Callable[[bytes], bytes]) -> SocketFrame:
    """Return `frame` as `mask` leaves it: the same one if there is nothing to hide."""
    if isinstance(frame.data, str):
        text = masked_text(frame.data, mask)
        return frame if text is frame.data else SocketFrame(text, frame.more)
    data = mask(frame.data)
    return frame if data == frame.data else SocketFrame(data, frame.more)


def masked_text(text: str, mask: Callable[[bytes], bytes]) -> str:
    """Return `text` as `mask` leaves it, itself if that is the same."""
    data = text.encode("utf-8", "surrogatepass")
    shown = mask(data)
    return text if shown == data else shown.decode("utf-8", "replace")


async def next_message(source: FrameSource) -> tuple[list[SocketFrame], str | None] | SocketClose:
    """Return the frames of the next message and its text, None if it has none; or the close."""
    parts = MessageParts()
    frames: list[SocketFrame] = []
    while True:
        frame = await source.receive()
        if isinstance(frame, SocketClose):
            return frame
        frames.append(frame)
        text = parts.add(frame)
        if not frame.more:
            return frames, text
