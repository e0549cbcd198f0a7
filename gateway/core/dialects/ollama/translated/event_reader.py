"""The lines of a chat in Ollama's API, read into canonical events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from ...canonical.events import (
    BlockKind,
    BlockStarted,
    BlockStopped,
    Event,
    Grown,
    Started,
    Stopped,
    StopReason,
)

_REASONS: Final = {
    "stop": StopReason.END,
    "length": StopReason.LENGTH,
    "refusal": StopReason.REFUSAL,
}


class _Function(msgspec.Struct, frozen=True):
    name: str = ""
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


class _Call(msgspec.Struct):
    function: _Function = _Function()
    id: str = ""


class _Message(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Line(msgspec.Struct):
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    created_at: str = ""


_DECODE: Final = msgspec.json.Decoder(_Line).decode
_TEXT: Final = msgspec.json.Decoder(str)


class OllamaEventReader:
    """Reads one stream. Calls come whole, and have no ids in most versions."""

    def __init__(self) -> None:
        self._started = False
        self._next = 0
        self._kind: BlockKind | None = None
        self._id = ""
        self._calls = 0

    def read(self, data: bytes) -> Iterable[Event]:
        """Return what a line says. Raises ValueError for what it cannot mean."""
        return list(self._read(_DECODE(data)))

    def _read(self, line: _Line) -> Iterator[Event]:
        if not self._started:
            self._started = True
            self._id = "".join(each for each in line.created_at if each.isalnum()) or "ollama"
            yield Started(self._id)
        message = line.message
        if message is not None:
            if message.thinking:
                yield from self._grow("thinking", message.thinking)
            if message.content:
                yield from self._grow("text", message.content)
            for call in message.tool_calls or ():
                yield from self._call(call)
        if line.done:
            yield from self._close()
            reason = _REASONS.get(line.done_reason or "stop", StopReason.END)
            if self._calls and reason is StopReason.END:
                reason = StopReason.CALLS
            yield Stopped(reason)

    def _grow(self, kind: BlockKind, text: str) -> Iterator[Event]:
        if self._kind != kind:
            yield from self._close()
            self._kind = kind
            yield BlockStarted(self._next, kind)
        yield Grown(self._next, text)

    def _close(self) -> Iterator[Event]:
        if self._kind is not None:
            self._kind = None
            yield BlockStopped(self._next)
            self._next += 1

    def _call(self, call: _Call) -> Iterator[Event]:
        yield from self._close()
        index, self._next = self._next, self._next + 1
        id = call.id or f"call_{self._id}_{self._calls}"
        self._calls += 1
        raw = bytes(call.function.arguments)
        text = _TEXT.decode(raw) if raw.startswith(b'"') else raw.decode()
        yield BlockStarted(index, "call", id, call.function.name)
        yield Grown(index, "{}" if text == "null" else text)
        yield BlockStopped(index)
