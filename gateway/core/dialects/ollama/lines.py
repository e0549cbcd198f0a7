"""A stream of Ollama's: a JSON object in each line, the last with `done`.

The rewriter changes the model's name in each line and nothing else. The last line is kept back, so
that only a success ends with it. A line that cannot be read breaks the stream: it is text that the
caller would miss without knowing.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from ...records.usage import Usage
from ...wire.splice import InvalidJSON, members, splice
from ..base import NotAnAnswer
from ..rewriting import EventRewriter
from ..text_meter import TextMeter
from .answer import LINE, Line, rewrite_answer, said_in
from .errors import error_body

# What comes in pieces.
_GROWING: Final = frozenset({"content", "thinking", "response", "tool_calls"})
_BREAK: Final = re.compile(rb"[\r\n]")
_UNREADABLE: Final = "the provider sent a line that cannot be read"
# Of a stream that said all but this.
_DONE: Final = b'{"model":%b,"message":{"role":"assistant","content":""},"done":true}\n'


class _Message(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: Any = None


_MESSAGE: Final = msgspec.json.Decoder(_Message)


class LineRewriter(EventRewriter):
    """Rewrites one stream (see `base.StreamRewriter`). `model` is the requested name as JSON."""

    by_lines = True
    # The counts are in the last line of every stream.
    awaits_usage = False

    def __init__(self, model: bytes, *, max_event_bytes: int) -> None:
        super().__init__()
        self._model = model
        self._most = max_event_bytes
        self._rest = b""
        self._last = b""
        self._text = TextMeter()
        self.usage: Usage | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Return what the caller gets for `chunk`."""
        if self.ended:
            return b""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        output = self._take(lines)
        if len(self._rest) > self._most and not self.ended:
            self.broken = f"a line is longer than {self._most} bytes"
        return output

    def feed_answer(self, body: bytes) -> bytes:
        """Return what the caller gets for a whole answer, sent instead of a stream."""
        rewrite_answer(body, self._model)
        return self.feed(body + b"\n")

    def end(self) -> bytes:
        """Take note that the body has ended: a last line without its line break counts, too."""
        line, self._rest = self._rest, b""
        return b"" if self.ended else self._take([line])

    def finish(self) -> bytes:
        """Return the last line, which was kept back."""
        return self._last or _DONE % self._model

    def _take(self, lines: list[bytes]) -> bytes:
        out: list[bytes] = []
        for text in lines:
            if not text.strip():
                continue
            line = self._read(text)
            if line is None or self.ended:
                break
            renamed = self._renamed(text)
            if renamed is None:
                break
            self.events += 1
            if not line.done:
                out.append(renamed)
                continue
            self._last = renamed
            self.usage = line.usage
            self.done = self.finished = self.meaningful = True
            self.said += 1
            break
        return b"".join(out)

    def _renamed(self, text: bytes) -> bytes | None:
        """Return the line for the caller, none for one of another API; None if it is broken."""
        if self.sink is not None:
            self.sink.append(text)
            return b""
        try:
            return splice(text, replace={"model": self._model}) + b"\n"
        except InvalidJSON:
            # Nested more deeply than is read where something has to be cut.
            self.malformed += 1
            self.broken = _UNREADABLE
            return None

    def _read(self, text: bytes) -> Line | None:
        """Return what decides something in a line; None if it cannot be read."""
        try:
            line = LINE.decode(text)
            if line.error is not msgspec.UNSET:
                self.error = text.strip()
                return line
            message = _Message()
            if not isinstance(line.message, msgspec.UnsetType):
                message = _MESSAGE.decode(line.message)
            said = (line.response, line.thinking)
            if any((*said, message.content, message.thinking, message.tool_calls)):
                self._text.add_found(said_in(text))
                self.meaningful = True
                self.said += 1
        except (msgspec.DecodeError, InvalidJSON, UnicodeDecodeError, RecursionError):
            self.malformed += 1
            self.broken = _UNREADABLE
            return None
        return line


def as_lines(body: bytes) -> bytes:
    """Return a whole answer as a stream. Raises NotAnAnswer."""
    try:
        members(body)
        found = LINE.decode(body)
    except (msgspec.DecodeError, InvalidJSON, RecursionError) as exc:
        raise NotAnAnswer(f"the answer is none of this API's: {exc}") from exc
    if found.error is not msgspec.UNSET:
        raise NotAnAnswer("an error instead of an answer", error=body)
    # As it is, unless it has several lines: the arguments of calls are kept to the byte.
    line = msgspec.json.format(body, indent=-1) if _BREAK.search(body.strip()) else body.strip()
    return line + b"\n" if found.done else splice(line, put={"done": b"true"}) + b"\n"


def in_one(stream: bytes) -> bytes:
    """Return the whole answer that a sound stream gives."""
    whole: dict[str, Any] = {}
    for text in stream.split(b"\n"):
        if text:
            _add(whole, msgspec.json.decode(text))
    return msgspec.json.encode(whole) if whole else error_body("the stream is empty")


def _add(whole: dict[str, Any], piece: dict[str, Any]) -> None:
    for name, value in piece.items():
        before: Any = whole.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            _add(before, value)
        elif name in _GROWING and before and value:
            whole[name] = before + value
        elif not (name in _GROWING and before):
            whole[name] = value
