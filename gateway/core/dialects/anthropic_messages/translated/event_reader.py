"""Anthropic's events, read into canonical ones.

What Anthropic's servers did themselves (code execution, MCP, tool search) is passed over, block and
deltas: it is no call of the caller's; web searches are told as such (`searches`). A second
`message_start` begins no second answer; one with content is the whole message at once. Arguments
that come with the block and in no delta are told when it stops.
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
from .citations import read_citation, read_citations
from .searches import Searches

# Absent is UNSET: a union of Raw and None takes nothing but null.
_Found = msgspec.Raw | msgspec.UnsetType
_NO_ARGUMENTS: Final = (b"{}", b"null")

_REASONS: Final = {
    "end_turn": StopReason.END,
    "max_tokens": StopReason.LENGTH,
    "stop_sequence": StopReason.SEQUENCE,
    "tool_use": StopReason.CALLS,
    "pause_turn": StopReason.PAUSE,
    "refusal": StopReason.REFUSAL,
    "model_context_window_exceeded": StopReason.CONTEXT,
}


class _Delta(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: _Found = msgspec.UNSET
    citation: _Found = msgspec.UNSET


class _Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: _Found = msgspec.UNSET
    citations: _Found = msgspec.UNSET
    content: _Found = msgspec.UNSET
    tool_use_id: str | None = None


class _Message(msgspec.Struct):
    id: str | None = None
    content: list[_Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: _Found = msgspec.UNSET


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: _Message | None = None


class _Kind(msgspec.Struct):
    type: str = ""


class _Details(msgspec.Struct):
    explanation: str | None = None


class _Open(msgspec.Struct):
    """A block that has begun: its canonical index, and arguments that no delta has brought."""

    index: int
    arguments: str = ""
    citations: list[Citation] = []

    def cite(self, citation: Citation | None) -> None:
        if citation is not None and len(self.citations) < MOST_CITED:
            self.citations.append(citation)


_DECODE: Final = msgspec.json.Decoder(_Event).decode
_KIND: Final = msgspec.json.Decoder(_Kind)
_KNOWN: Final = frozenset(
    {
        *("message_start", "content_block_start", "content_block_delta", "content_block_stop"),
        "message_delta",
    }
)
_DETAILS: Final = msgspec.json.Decoder(_Details)


class MessageEventReader:
    """Reads one stream."""

    def __init__(self) -> None:
        self._started = False
        self._next = 0
        # By Anthropic's index.
        self._open: dict[int, _Open] = {}
        self._searches = Searches()

    def read(self, data: bytes) -> Iterator[Event] | tuple[Event, ...]:
        """Return what the data of an event says. Raises ValueError for what it cannot mean."""
        try:
            event = _DECODE(data)
        except msgspec.DecodeError:
            if _KIND.decode(data).type in _KNOWN:
                raise
            return ()
        kind, delta = event.type, event.delta
        if kind == "content_block_delta":
            open_ = self._open.get(event.index)
            if delta is None:
                return ()
            if open_ is not None:
                return self._grown(open_, delta)
            self._searches.grow(event.index, delta.partial_json)
            return ()
        return self._other(event, kind, delta)

    def _grown(self, open_: _Open, delta: _Delta) -> tuple[Event, ...]:
        text = delta.text
        if text is None:
            text = delta.partial_json
            if text is not None:
                open_.arguments = ""
            else:
                text = delta.thinking
        if text:
            return (Grown(open_.index, text),)
        if delta.signature:
            return (Grown(open_.index, delta.signature, signature=True),)
        if isinstance(delta.citation, msgspec.Raw):
            open_.cite(read_citation(delta.citation))
        return ()

    def _other(self, event: _Event, kind: str, delta: _Delta | None) -> Iterator[Event]:
        if kind == "message_start":
            yield from self._start(event.message or _Message())
        elif kind == "content_block_start":
            yield from self._begin(event.index, event.content_block or _Block())
        elif kind == "content_block_stop":
            yield from self._stop(event.index)
        elif kind == "message_delta" and delta is not None and delta.stop_reason:
            yield _stopped(delta.stop_reason, delta.stop_sequence, delta.stop_details)

    def _start(self, message: _Message) -> Iterator[Event]:
        self._open.clear()
        if not self._started:
            self._started = True
            yield Started(message.id or "")
        for number, block in enumerate(message.content or ()):
            yield from self._begin(number, block)
            yield from self._stop(number)
        if message.stop_reason:
            yield _stopped(message.stop_reason, message.stop_sequence, message.stop_details)

    def _begin(self, number: int, block: _Block) -> Iterator[Event]:
        kinds: dict[str, BlockKind] = {
            "text": "text",
            "thinking": "thinking",
            "redacted_thinking": "thinking",
            "tool_use": "call",
        }
        kind = kinds.get(block.type)
        if kind is None:
            yield from self._search(number, block)
            return
        index, self._next = self._next, self._next + 1
        open_ = self._open[number] = _Open(index)
        encrypted = block.type == "redacted_thinking"
        yield BlockStarted(index, kind, block.id or "", block.name or "", encrypted=encrypted)
        text = block.text if kind == "text" else block.thinking
        if text:
            yield Grown(index, text)
        if isinstance(block.citations, msgspec.Raw):
            for each in read_citations(block.citations):
                open_.cite(each)
        if kind == "call" and isinstance(block.input, msgspec.Raw):
            given = bytes(block.input)
            open_.arguments = "" if given in _NO_ARGUMENTS else given.decode()
        signature = block.data if encrypted else block.signature
        if signature:
            yield Grown(index, signature, signature=True)

    def _stop(self, number: int) -> Iterator[Event]:
        open_ = self._open.pop(number, None)
        if open_ is None:
            return
        if open_.arguments:
            yield Grown(open_.index, open_.arguments)
        for each in open_.citations:
            # Of all of the text, which is whole now.
            yield Cited(open_.index, each)
        yield BlockStopped(open_.index)

    def _search(self, number: int, block: _Block) -> Iterator[Event]:
        if block.type == "server_tool_use":
            self._searches.begin(number, block.id or "", block.name or "", block.input)
        elif block.type == "web_search_tool_result":
            yield self._searches.end(block.tool_use_id or "", block.content)


def _stopped(reason: str, sequence: str | None, details: _Found) -> Stopped:
    words = None
    if reason == "refusal" and isinstance(details, msgspec.Raw):
        try:
            words = _DETAILS.decode(details).explanation
        except msgspec.DecodeError:
            words = None
    # A reason that is not known yet: the answer has ended, whatever for.
    return Stopped(_REASONS.get(reason, StopReason.END), sequence, words)
