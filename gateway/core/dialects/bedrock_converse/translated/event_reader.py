"""Bedrock's events, read into canonical ones.

The rewriter hands over an event as an object whose one member is the event, `{"messageStart":
{...}}`. A text or a thought has no event that begins it: its first piece does. What the provider's
servers did themselves (`type` of a call, results) is passed over: it is no call of the caller's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from ...canonical.events import (
    BlockKind,
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
from .citations import read_citation

_REASONS: Final = {
    "end_turn": StopReason.END,
    "max_tokens": StopReason.LENGTH,
    "stop_sequence": StopReason.SEQUENCE,
    "tool_use": StopReason.CALLS,
    "guardrail_intervened": StopReason.REFUSAL,
    "content_filtered": StopReason.REFUSAL,
    "model_context_window_exceeded": StopReason.CONTEXT,
}


class _Call(msgspec.Struct):
    toolUseId: str = ""  # noqa: N815  # Amazon's spelling, here and below
    name: str = ""
    type: str | None = None
    input: str | None = None


class _Start(msgspec.Struct):
    toolUse: _Call | None = None  # noqa: N815


class _Thought(msgspec.Struct, gc=False):
    text: str | None = None
    signature: str | None = None
    redactedContent: str | None = None  # noqa: N815


class _Delta(msgspec.Struct, gc=False):
    text: str | None = None
    toolUse: _Call | None = None  # noqa: N815
    reasoningContent: _Thought | None = None  # noqa: N815
    citation: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Stop(msgspec.Struct):
    stop_sequence: str | None = None


class _Body(msgspec.Struct, gc=False):
    contentBlockIndex: int = 0  # noqa: N815
    start: _Start | None = None
    delta: _Delta | None = None
    stopReason: str | None = None  # noqa: N815
    # Raw alone: a union of Raw and None takes nothing but null.
    additionalModelResponseFields: msgspec.Raw = msgspec.Raw(b"{}")  # noqa: N815


class _Event(msgspec.Struct, gc=False):
    messageStart: _Body | None = None  # noqa: N815
    contentBlockStart: _Body | None = None  # noqa: N815
    contentBlockDelta: _Body | None = None  # noqa: N815
    contentBlockStop: _Body | None = None  # noqa: N815
    messageStop: _Body | None = None  # noqa: N815


class _Open(msgspec.Struct):
    """A block that has begun; `index` is None of one that is passed over."""

    index: int | None
    citations: list[Citation] = []


_DECODE: Final = msgspec.json.Decoder(_Event).decode
_STOP: Final = msgspec.json.Decoder(_Stop)


class ConverseEventReader:
    """Reads one stream."""

    def __init__(self) -> None:
        self._started = False
        self._next = 0
        # By Bedrock's index.
        self._open: dict[int, _Open] = {}

    def read(self, data: bytes) -> Iterator[Event]:
        """Yield what an event says. Raises ValueError for what it cannot mean."""
        event = _DECODE(data)
        if (grown := event.contentBlockDelta) is not None:
            if grown.delta is not None:
                yield from self._grown(grown.contentBlockIndex, grown.delta)
        elif event.messageStart is not None:
            yield from self._start()
        elif (begun := event.contentBlockStart) is not None:
            yield from self._begin(begun.contentBlockIndex, begun.start or _Start())
        elif (stopped := event.contentBlockStop) is not None:
            yield from self._stop(stopped.contentBlockIndex)
        elif (ended := event.messageStop) is not None:
            for number in list(self._open):
                yield from self._stop(number)
            yield _stopped(ended)

    def _start(self) -> Iterator[Event]:
        if not self._started:
            self._started = True
            yield Started("")

    def _begin(self, number: int, start: _Start) -> Iterator[Event]:
        yield from self._start()
        call = start.toolUse
        if call is None:
            # Some models begin a text with an event that says nothing: its first piece tells.
            return
        if call.type is not None:
            self._open[number] = _Open(None)
            return
        yield self._opened(number, "call", call.toolUseId, call.name)

    def _opened(
        self, number: int, kind: BlockKind, id: str = "", name: str = "", *, encrypted: bool = False
    ) -> BlockStarted:
        index, self._next = self._next, self._next + 1
        self._open[number] = _Open(index)
        return BlockStarted(index, kind, id, name, encrypted=encrypted)

    def _grown(self, number: int, delta: _Delta) -> Iterator[Event]:
        yield from self._start()
        thought, call = delta.reasoningContent, delta.toolUse
        if number not in self._open:
            if thought is not None:
                encrypted = thought.redactedContent is not None
                yield self._opened(number, "thinking", encrypted=encrypted)
            elif delta.text is not None or delta.citation is not msgspec.UNSET:
                yield self._opened(number, "text")
            else:
                return
        open_ = self._open[number]
        index = open_.index
        if index is None:
            return
        if isinstance(delta.citation, msgspec.Raw):
            _cite(open_, delta.citation)
        if delta.text:
            yield Grown(index, delta.text)
        elif call is not None and call.input:
            yield Grown(index, call.input)
        elif thought is not None:
            yield from _thought(index, thought)

    def _stop(self, number: int) -> Iterator[Event]:
        open_ = self._open.pop(number, None)
        if open_ is not None and open_.index is not None:
            for each in open_.citations:
                # Of all of the text, which is whole now.
                yield Cited(open_.index, each)
            yield BlockStopped(open_.index)


def _cite(open_: _Open, raw: msgspec.Raw) -> None:
    found = read_citation(raw)
    if found is not None and len(open_.citations) < MOST_CITED:
        open_.citations.append(found)


def _thought(index: int, thought: _Thought) -> Iterator[Event]:
    if thought.text:
        yield Grown(index, thought.text)
    signature = thought.redactedContent or thought.signature
    if signature:
        yield Grown(index, signature, signature=True)


def _stopped(body: _Body) -> Stopped:
    try:
        sequence = _STOP.decode(body.additionalModelResponseFields).stop_sequence
    except msgspec.DecodeError:
        # Null, or whatever else the model adds.
        sequence = None
    # A reason that is not known yet: the answer has ended, whatever for.
    return Stopped(_REASONS.get(body.stopReason or "", StopReason.END), sequence)
