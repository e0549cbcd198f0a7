"""Cohere's events, read into canonical ones.

Blocks of content and calls are numbered apart, and the plan before calls has no number: it is a
text. Citations come while a text grows or behind it, so a text stays open until something else
begins. What is cited of plans and thoughts, and of results of tools, is left out.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Final

import msgspec

from ...canonical.events import (
    BlockStarted,
    BlockStopped,
    Cited,
    Event,
    Grown,
    Started,
    Stopped,
    StopReason,
)
from ...canonical.sources import MOST_CITED, Citation
from .documents import read_citation

_Raw = msgspec.Raw

_REASONS: Final = {
    "COMPLETE": StopReason.END,
    "STOP_SEQUENCE": StopReason.SEQUENCE,
    "MAX_TOKENS": StopReason.LENGTH,
    "TOOL_CALL": StopReason.CALLS,
    # Of version 1 of the API (`types/finish_reason.py`), which servers with this one say, too.
    "ERROR_LIMIT": StopReason.CONTEXT,
    "ERROR_TOXIC": StopReason.REFUSAL,
}


class _Content(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct, gc=False):
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct, gc=False):
    """The event that begins an answer has lists in it, which are empty."""

    content: _Content | list[_Raw] | None = None
    tool_plan: str | None = None
    tool_calls: _Call | list[_Raw] | None = None
    citations: _Raw = _Raw(b"null")


class _Delta(msgspec.Struct, gc=False):
    message: _Message | None = None
    finish_reason: str | None = None
    error: str | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    id: str | None = None
    index: int = 0
    delta: _Delta | None = None


class _Text(msgspec.Struct):
    """A text that is open; `number` is Cohere's, None that of a plan."""

    index: int
    number: int | None
    citations: list[Citation] = []


class _Kind(msgspec.Struct):
    type: str = ""


_DECODE: Final = msgspec.json.Decoder(_Event).decode
_KIND: Final = msgspec.json.Decoder(_Kind)
_KNOWN: Final = frozenset(
    {
        *("message-start", "content-start", "content-delta", "content-end", "tool-plan-delta"),
        *("tool-call-start", "tool-call-delta", "tool-call-end", "citation-start", "message-end"),
    }
)


class CohereEventReader:
    """Reads one stream."""

    def __init__(self) -> None:
        self._started = False
        self._next = 0
        # By Cohere's numbers: thoughts that are open, and calls.
        self._thoughts: dict[int, int] = {}
        self._calls: dict[int, int] = {}
        self._text: _Text | None = None

    def read(self, data: bytes) -> Iterator[Event] | tuple[Event, ...]:
        """Return what the data of an event says. Raises ValueError for what it cannot mean."""
        try:
            event = _DECODE(data)
        except msgspec.DecodeError:
            if _KIND.decode(data).type in _KNOWN:
                raise
            return ()
        delta = event.delta
        if event.type == "content-delta" and delta is not None and delta.message is not None:
            content, open_ = delta.message.content, self._text
            if (
                open_ is not None
                and open_.number == event.index
                and type(content) is _Content
                and content.text is not None
            ):
                # Nearly all events of a stream.
                return (Grown(open_.index, content.text),)
        return self._read(event, delta or _Delta())

    def _read(self, event: _Event, delta: _Delta) -> Iterator[Event]:
        message = delta.message or _Message()
        content, call = message.content, message.tool_calls
        if not self._started:
            self._started = True
            yield Started(event.id or "")
        kind = event.type
        if isinstance(content, _Content):
            yield from self._grow(event.index, content, begins=kind == "content-start")
        elif kind == "content-end":
            if (thought := self._thoughts.pop(event.index, None)) is not None:
                yield BlockStopped(thought)
        elif kind == "tool-plan-delta":
            if message.tool_plan:
                index = yield from self._open_text(None)
                yield Grown(index, message.tool_plan)
        elif kind == "tool-call-end":
            if (number := self._calls.pop(event.index, None)) is not None:
                yield BlockStopped(number)
        elif isinstance(call, _Call):
            yield from self._called(event.index, call)
        elif kind == "citation-start":
            self._cite(message.citations)
        elif kind == "message-end":
            yield from self._end(delta)

    def _grow(self, number: int, content: _Content, *, begins: bool) -> Iterator[Event]:
        if content.type == "thinking" or content.thinking is not None:
            if number not in self._thoughts:
                yield from self._close()
                self._thoughts[number] = self._index()
                yield BlockStarted(self._thoughts[number], "thinking")
            if content.thinking:
                yield Grown(self._thoughts[number], content.thinking)
        elif content.text is not None or begins:
            index = yield from self._open_text(number)
            if content.text:
                yield Grown(index, content.text)

    def _open_text(self, number: int | None) -> Generator[Event, None, int]:
        """Return the index of a text, which is begun if it is not the one that is open."""
        if self._text is None or self._text.number != number:
            yield from self._close()
            self._text = _Text(self._index(), number, [])
            yield BlockStarted(self._text.index, "text")
        return self._text.index

    def _called(self, number: int, call: _Call) -> Iterator[Event]:
        function = call.function or _Function()
        if number not in self._calls:
            yield from self._close()
            index = self._calls[number] = self._index()
            yield BlockStarted(index, "call", call.id or f"call_{index}", function.name or "")
        if function.arguments:
            yield Grown(self._calls[number], function.arguments)

    def _cite(self, raw: _Raw) -> None:
        text = self._text
        number, found = read_citation(raw)
        if text is not None and number in (None, text.number):
            text.citations += found[: MOST_CITED - len(text.citations)]

    def _close(self) -> Iterator[Event]:
        """Stop the text that is open: it is whole now, and so is what it cites."""
        text, self._text = self._text, None
        if text is not None:
            for each in text.citations:
                yield Cited(text.index, each)
            yield BlockStopped(text.index)

    def _end(self, delta: _Delta) -> Iterator[Event]:
        yield from self._close()
        for index in (*self._thoughts.values(), *self._calls.values()):
            yield BlockStopped(index)
        # A reason that is not known yet: the answer has ended, whatever for.
        reason = _REASONS.get(delta.finish_reason or "", StopReason.END)
        yield Stopped(reason, words=delta.error if reason is StopReason.REFUSAL else None)

    def _index(self) -> int:
        index, self._next = self._next, self._next + 1
        return index
