"""The events of a stream of generateContent, read into canonical ones.

Only the first candidate is read: no other is ever asked for. What Google's servers did themselves
(code that was run, searches) is passed over: it is no call of the caller's. Arguments that come in
pieces are told when the call is whole, which another call or the end says, too: the last piece may
be missing. A signature is told as one of thinking, with its place (`signatures`), in front of a
call and behind a text.
"""

from __future__ import annotations

import hashlib
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
from ..chunk import is_blocked
from ..state.signatures import placed
from .call_ids import made_id
from .grounding import read_grounding
from .partial_arguments import PartialArguments

# Absent is UNSET: a union of Raw and None takes nothing but null.
_Found = msgspec.Raw | msgspec.UnsetType
_UNSET: Final = msgspec.UNSET

_REASONS: Final = {
    "STOP": StopReason.END,
    "MAX_TOKENS": StopReason.LENGTH,
    **dict.fromkeys(
        (
            *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"),
            *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR"),
            "ESCALATION",
        ),
        StopReason.REFUSAL,
    ),
    "CONTINUATION": StopReason.PAUSE,
}
_NO_REASON: Final = ("", "FINISH_REASON_UNSPECIFIED")
# Ids of answers are short; a longer one would make those of calls longer than APIs allow.
_LONGEST_ID: Final = 40


class _Call(msgspec.Struct, rename="camel"):
    id: str | None = None
    name: str | None = None
    args: _Found = _UNSET
    partial_args: _Found = _UNSET
    will_continue: bool | None = None


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _Call | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    grounding_metadata: _Found = _UNSET
    index: int = 0


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class _Event(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Found = _UNSET
    response_id: str | None = None


_DECODE: Final = msgspec.json.Decoder(_Event).decode
_FEEDBACK: Final = msgspec.json.Decoder(_Feedback)


class _OpenCall:
    """A call whose arguments are still to come."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.arguments = PartialArguments()
        self.whole = ""


class GeminiEventReader:
    """Reads one stream."""

    def __init__(self) -> None:
        self._unique = ""
        self._started = False
        self._next = 0
        self._calls = 0
        # The block of text or thinking that is open, and its kind.
        self._index = -1
        self._kind: BlockKind | None = None
        self._call: _OpenCall | None = None
        # The text so far, whose bytes the places of its sources count, and of its last block.
        self._text: list[str] = []
        self._before = 0

    def read(self, data: bytes) -> Iterator[Event]:
        """Return what the data of an event says. Raises ValueError for what it cannot mean."""
        event = _DECODE(data)
        if not self._started:
            self._started = True
            id = event.response_id or ""
            self._unique = id[:_LONGEST_ID] or hashlib.blake2b(data, digest_size=10).hexdigest()
            yield Started(id)
        for candidate in event.candidates or ():
            if candidate.index:
                continue
            for part in (candidate.content and candidate.content.parts) or ():
                yield from self._read(part)
            if candidate.grounding_metadata is not _UNSET:
                yield from self._ground(candidate.grounding_metadata)
            if candidate.finish_reason not in (None, *_NO_REASON):
                yield from self._stop(candidate.finish_reason or "", candidate.finish_message)
        if not event.candidates and is_blocked(event.prompt_feedback):
            assert isinstance(event.prompt_feedback, msgspec.Raw)
            feedback = _FEEDBACK.decode(event.prompt_feedback)
            words = feedback.block_reason_message or f"blocked: {feedback.block_reason}"
            yield from self._close()
            yield Stopped(StopReason.REFUSAL, words=words)

    def _read(self, part: _Part) -> Iterator[Event]:
        signature = part.thought_signature
        if part.function_call is not None:
            yield from self._called(part.function_call, signature)
            return
        text = part.text
        if part.thought:
            if text:
                yield from self._grow("thinking", text)
            if signature:
                yield from self._sign(placed("h", signature))
            return
        if text:
            yield from self._grow("text", text)
        if signature:
            yield from self._sign(placed("t" if text else "e", signature))

    def _grow(self, kind: BlockKind, text: str) -> Iterator[Event]:
        if self._kind is not kind:
            yield from self._close()
            self._kind = kind
            self._index, self._next = self._next, self._next + 1
            if kind == "text":
                self._before = sum(map(len, self._text))
            yield BlockStarted(self._index, kind)
        if kind == "text":
            self._text.append(text)
        yield Grown(self._index, text)

    def _ground(self, raw: _Found) -> Iterator[Event]:
        """Tell what the text is from: in its last block, which is open, and of a search."""
        assert isinstance(raw, msgspec.Raw)
        number = f"search_{self._unique}"
        searched, citations = read_grounding(raw, number, "".join(self._text))
        for citation in citations if self._kind == "text" else ():
            assert citation.start is not None
            assert citation.end is not None
            citation.start = max(citation.start - self._before, 0)
            citation.end -= self._before
            if citation.end > citation.start:
                yield Cited(self._index, citation)
        if searched is not None:
            yield from self._close()
            yield searched

    def _sign(self, signature: str) -> Iterator[Event]:
        """Tell a signature: of the thought that is open, else of one without a text."""
        if self._kind != "thinking":
            yield from self._close()
            self._kind = "thinking"
            self._index, self._next = self._next, self._next + 1
            yield BlockStarted(self._index, "thinking", encrypted=True)
        yield Grown(self._index, signature, signature=True)
        yield from self._close()

    def _called(self, call: _Call, signature: str | None) -> Iterator[Event]:
        if call.name or self._call is None:
            if not (call.name or call.args is not _UNSET or call.partial_args is not _UNSET):
                # The end of a call that has ended before.
                return
            if signature:
                yield from self._end_call()
                yield from self._sign(placed("c", signature, self._calls))
            yield from self._begin_call(call)
        open_ = self._call
        assert open_ is not None
        if isinstance(call.args, msgspec.Raw) and bytes(call.args) != b"null":
            open_.whole = bytes(call.args).decode()
        if isinstance(call.partial_args, msgspec.Raw) and bytes(call.partial_args) != b"null":
            open_.arguments.add(call.partial_args)
        if not call.will_continue:
            yield from self._end_call()

    def _begin_call(self, call: _Call) -> Iterator[Event]:
        yield from self._close()
        index, self._next = self._next, self._next + 1
        id = call.id or made_id(self._unique, self._calls)
        self._calls += 1
        self._call = _OpenCall(index)
        yield BlockStarted(index, "call", id, call.name or "")

    def _end_call(self) -> Iterator[Event]:
        open_, self._call = self._call, None
        if open_ is not None:
            yield Grown(open_.index, open_.whole or open_.arguments.json())
            yield BlockStopped(open_.index)

    def _close(self) -> Iterator[Event]:
        yield from self._end_call()
        if self._kind is not None:
            self._kind = None
            yield BlockStopped(self._index)

    def _stop(self, reason: str, message: str | None) -> Iterator[Event]:
        yield from self._close()
        # A reason that is not known: the answer has ended, whatever for.
        found = _REASONS.get(reason, StopReason.END)
        if self._calls and found is StopReason.END:
            # It stops the same way for calls, which clients run of an answer that stopped for them.
            found = StopReason.CALLS
        words = None
        if found is StopReason.REFUSAL:
            words = message or f"blocked: {reason}"
        yield Stopped(found, words=words)
