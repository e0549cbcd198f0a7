"""The rewriter of a stream of Converse: provider's bytes in, caller's bytes out.

No event says which model it is of, so every frame goes on as it came, checksums and padding
included. `messageStop` and what follows are kept back, so that only a success ends with them. A
stream without it is broken, whatever came before.

A frame whose checksum is wrong breaks the stream, and so does an event that cannot be read: it is
text that the caller would miss without knowing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ...records.usage import Usage
from ...wire.binary.event_stream import BadFrame, Frame, FrameDecoder
from ...wire.json_scan import check_utf8
from ...wire.splice import InvalidJSON
from ..rewriting import EventRewriter
from ..text_meter import TextMeter
from .answer import as_stream
from .event import EVENT, ConverseEvent, delta_says, is_said, members_of
from .frames import event_frame, event_name, exception_name, exception_text
from .usage import read_usage

STOP: Final = event_frame("messageStop", b'{"stopReason":"end_turn"}')
_UNREADABLE: Final = "the provider sent an event that cannot be read"
_ENCODE: Final = msgspec.json.Encoder().encode
# Blocks that say something when they begin: a call of a tool.
_OPENED: Final = "contentBlockStart"


class ConverseStreamRewriter(EventRewriter):
    """Rewrites one stream (see `base.StreamRewriter`).

    `finished` says that `messageStop` has come, `done` that usage has as well: it comes with
    `metadata`, which is the last event.
    """

    def __init__(self, *, max_event_bytes: int) -> None:
        super().__init__()
        self.usage: Usage | None = None
        self._frames = FrameDecoder(max_event_bytes)
        self._text = TextMeter()
        # `messageStop` and what came behind it.
        self._last: list[bytes] = []

    @property
    def awaits_usage(self) -> bool:
        """Say whether the report of usage, which every stream has, is still to come."""
        return self.usage is None

    def feed(self, chunk: bytes) -> bytes:
        """Return what the caller gets for `chunk`."""
        if self.ended:
            return b""
        try:
            frames = self._frames.feed(chunk)
        except BadFrame as exc:
            output = self._take(exc.frames)
            if not self.ended:
                self.broken = str(exc)
            return output
        return self._take(frames)

    def end(self) -> bytes:
        """Take note that the body has ended: half a frame says nothing."""
        if not self.ended and not self.finished and self._frames.pending:
            self.broken = "the stream ends in the middle of a frame"
        return b""

    def feed_answer(self, body: bytes) -> bytes:
        """Return what the caller gets for a whole answer, sent instead of a stream.

        Raises NotAnAnswer.
        """
        return self.feed(as_stream(body))

    def finish(self) -> bytes:
        """Return the events that were kept back."""
        return b"".join(self._last) or STOP

    def _take(self, frames: list[Frame]) -> bytes:
        out: list[bytes] = []
        for frame in frames:
            if (error := exception_name(frame)) is not None:
                self._fail(error, frame)
                break
            name = event_name(frame)
            found = self._read(frame.payload)
            if found is None:
                break
            self.events += 1
            self._note(name, found, frame.payload)
            if self.sink is not None:
                if name.isascii() and name.isalpha():
                    self.sink.append(b'{"%b":%b}' % (name.encode("ascii"), frame.payload))
            elif self.finished:
                self._last.append(frame.raw)
            else:
                out.append(frame.raw)
        self.done = self.finished and self.usage is not None
        return b"".join(out)

    def _read(self, payload: bytes) -> ConverseEvent | None:
        """Return the members of an event; None if it cannot be read."""
        try:
            if not payload.isascii():
                # msgspec skips over strings that it does not have to decode.
                check_utf8(payload)
            return EVENT.decode(payload)
        except (msgspec.DecodeError, InvalidJSON, RecursionError):
            self.malformed += 1
            self.broken = _UNREADABLE
            return None

    def _note(self, name: str, found: ConverseEvent, payload: bytes) -> None:
        if name == "contentBlockDelta":
            self._text.event((found,), len(payload))
            if not self.meaningful and delta_says(found.delta):
                self._mean()
        elif name == _OPENED:
            if not self.meaningful and members_of(members_of(payload).get("start", b"")):
                self._mean()
        elif name == "messageStop":
            self.finished = True
            if is_said(found.stopReason):
                # An answer may be empty, and is one all the same.
                self._mean()
        elif is_said(found.usage):
            assert isinstance(found.usage, msgspec.Raw)
            self.usage = read_usage(found.usage) or self.usage
            self.said += 1

    def _mean(self) -> None:
        self.meaningful = True
        self.said += 1

    def _fail(self, name: str, frame: Frame) -> None:
        """Take note of an error; its type goes with its members, as `errors.py` reads it."""
        found: dict[str, object] = {"__type": name or "InternalServerException"}
        said = members_of(frame.payload)
        if said:
            found |= {key: msgspec.Raw(value) for key, value in said.items() if key != "__type"}
        else:
            text = exception_text(frame) or frame.payload.decode("utf-8", "replace").strip()
            found["message"] = text or "the provider reports an error"
        self.error = _ENCODE(found)
