"""The chunks of a chat completion, read into canonical events.

Only the choice 0 is read: no other is ever asked for. Reasoning comes as `reasoning_content`
(DeepSeek, xAI, Qwen, Moonshot, vLLM) or `reasoning` (OpenRouter, Groq), and as parts of the content
(Mistral). Calls are told apart by their index, which Gemini leaves out, and by their id, where a
server gives all of them the same index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
from ...canonical.logprobs import TokenLogprob, read_logprobs
from ...canonical.sources import MOST_CITED, Citation
from .citations import cited_pages, read_annotations

_Raw = msgspec.Raw
# Absent is UNSET: a union of Raw and None takes nothing but null.
_Found = msgspec.Raw | msgspec.UnsetType
_NULL: Final = _Raw(b"null")

_REASONS: Final = {
    "stop": StopReason.END,
    "length": StopReason.LENGTH,
    "tool_calls": StopReason.CALLS,
    "function_call": StopReason.CALLS,
    "content_filter": StopReason.REFUSAL,
    "end_turn": StopReason.END,
    "model_length": StopReason.CONTEXT,  # Mistral
}
# Where a call has no index: behind all that have.
_NO_INDEX: Final = -1


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: _Raw | msgspec.UnsetType = msgspec.UNSET
    input: str | None = None


class _CallDelta(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: _Function | None = None
    custom: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | list[_Raw] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_CallDelta] | None = None
    function_call: _Function | None = None
    annotations: _Found = msgspec.UNSET


class _Logprobs(msgspec.Struct):
    content: _Raw = _NULL


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None
    logprobs: _Found = msgspec.UNSET


class _Chunk(msgspec.Struct):
    id: str | None = None
    choices: list[_Choice] | None = None
    citations: _Found = msgspec.UNSET
    search_results: _Found = msgspec.UNSET


class _Part(msgspec.Struct):
    """A part of Mistral's content: `thinking` is parts of text again."""

    type: str = ""
    text: str | None = None
    thinking: list[_Part] | str | None = None


_DECODE: Final = msgspec.json.Decoder(_Chunk).decode
_PART: Final = msgspec.json.Decoder(_Part)
_TEXT: Final = msgspec.json.Decoder(str)
_LOGPROBS: Final = msgspec.json.Decoder(_Logprobs)


class _Open(msgspec.Struct):
    """A call that has begun. `index` None: not shown yet, for it has no name."""

    key: int
    id: str
    index: int | None = None
    held: str = ""


class ChatEventReader:
    """Reads one stream."""

    def __init__(self) -> None:
        self._id = ""
        self._started = False
        self._next = 0
        # The block of text, reasoning or refusal that is open, and its kind.
        self._index = -1
        self._kind: BlockKind | None = None
        self._calls: list[_Open] = []
        self._cited: list[Citation] = []

    def read(self, data: bytes) -> Iterable[Event]:
        """Return what the data of a chunk says. Raises ValueError for what it cannot mean."""
        chunk = _DECODE(data)
        choices = chunk.choices
        if self._kind == "text" and choices and len(choices) == 1:
            # A text that goes on, as most chunks are: a third of the time of all that could be.
            choice = choices[0]
            delta = choice.delta
            plain = choice.logprobs is msgspec.UNSET or choice.logprobs == _NULL
            if plain and delta is not None and not (choice.index or choice.finish_reason):
                text = delta.content
                if type(text) is str and text and not _says_more(delta):
                    return (Grown(self._index, text),)
        return self._all(chunk)

    def _all(self, chunk: _Chunk) -> Iterator[Event]:
        for choice in chunk.choices or ():
            if choice.index:
                continue
            if not self._started:
                self._started = True
                self._id = chunk.id or ""
                yield Started(self._id)
            delta = choice.delta or choice.message
            if delta is not None:
                yield from self._read(delta, _tokens(choice.logprobs))
            if choice.finish_reason:
                if not self._cited:
                    yield from self._cite(cited_pages(chunk.search_results, chunk.citations))
                yield from self._stop(choice.finish_reason)

    def _read(self, delta: _Delta, tokens: list[TokenLogprob] | None = None) -> Iterator[Event]:
        thinking = delta.reasoning_content or delta.reasoning
        if thinking:
            yield from self._grow("thinking", thinking)
        content = delta.content
        if content:
            if isinstance(content, str):
                yield from self._grow("text", content, tokens)
            else:
                for part in content:
                    yield from self._part(_PART.decode(part))
        elif tokens and self._kind == "text":
            # Tokens that end no character yet.
            yield Grown(self._index, "", logprobs=tokens)
        if delta.annotations is not msgspec.UNSET:
            yield from self._cite(read_annotations(delta.annotations))
        if delta.refusal:
            yield from self._grow("refusal", delta.refusal)
        for call in delta.tool_calls or ():
            yield from self._call(call)
        if delta.function_call is not None:
            yield from self._call(_CallDelta(index=0, function=delta.function_call))

    def _part(self, part: _Part) -> Iterator[Event]:
        if part.type == "thinking":
            inner = part.thinking
            pieces = [inner] if isinstance(inner, str) else [each.text for each in inner or ()]
            for piece in pieces:
                if piece:
                    yield from self._grow("thinking", piece)
        elif part.text:
            yield from self._grow("text", part.text)

    def _grow(
        self, kind: BlockKind, text: str, tokens: list[TokenLogprob] | None = None
    ) -> Iterator[Event]:
        if self._kind is not kind:
            yield from self._close()
            self._kind = kind
            self._index, self._next = self._next, self._next + 1
            yield BlockStarted(self._index, kind)
        yield Grown(self._index, text, logprobs=tokens)

    def _cite(self, citations: list[Citation]) -> Iterator[Event]:
        """Tell what the text that is open is from; some servers tell all of it again and again."""
        if self._kind != "text":
            return
        for each in citations[: MOST_CITED - len(self._cited)]:
            if each not in self._cited:
                self._cited.append(each)
                yield Cited(self._index, each)

    def _close(self) -> Iterator[Event]:
        if self._kind is not None:
            self._kind = None
            yield BlockStopped(self._index)

    def _call(self, delta: _CallDelta) -> Iterator[Event]:
        function = delta.function or delta.custom or _Function()
        open_ = self._open_of(delta, function)
        open_.held += function.input or _arguments(function.arguments)
        if open_.index is None:
            if not function.name:
                return
            yield from self._close()
            yield self._begin(open_, function.name, custom=delta.custom is not None)
        if open_.held and open_.index is not None:
            yield Grown(open_.index, open_.held)
            open_.held = ""

    def _open_of(self, delta: _CallDelta, function: _Function) -> _Open:
        """Return the call that a delta belongs to, perhaps a new one."""
        found = None
        if delta.index is not None:
            found = next((each for each in reversed(self._calls) if each.key == delta.index), None)
        elif delta.id:
            found = next((each for each in self._calls if each.id == delta.id), None)
        elif not function.name and self._calls:
            found = self._calls[-1]
        if found is not None and delta.id and found.id and delta.id != found.id and function.name:
            # Another call under the same index.
            found = None
        if found is None:
            key = _NO_INDEX if delta.index is None else delta.index
            found = _Open(key, delta.id or f"call_{self._id}_{len(self._calls)}")
            self._calls.append(found)
        return found

    def _begin(self, open_: _Open, name: str, *, custom: bool) -> BlockStarted:
        open_.index, self._next = self._next, self._next + 1
        return BlockStarted(open_.index, "call", open_.id, name, custom=custom)

    def _stop(self, reason: str) -> Iterator[Event]:
        yield from self._close()
        for call in self._calls:
            if call.index is None:
                yield self._begin(call, "", custom=False)
                if call.held:
                    yield Grown(self._next - 1, call.held)
            assert call.index is not None
            yield BlockStopped(call.index)
        # A reason that is not known: the answer has ended, whatever for.
        found = _REASONS.get(reason, StopReason.END)
        if self._calls and found is StopReason.END:
            # Some servers call a function and say that they have just stopped. Clients run the
            # calls of an answer that stopped for them.
            found = StopReason.CALLS
        self._calls.clear()
        yield Stopped(found)


def _says_more(delta: _Delta) -> bool:
    return bool(
        delta.reasoning_content
        or delta.reasoning
        or delta.refusal
        or delta.tool_calls
        or delta.function_call is not None
        or delta.annotations is not msgspec.UNSET
    )


def _tokens(raw: _Found) -> list[TokenLogprob] | None:
    """Return the log probabilities that a choice has."""
    if isinstance(raw, msgspec.UnsetType) or raw == _NULL:
        return None
    try:
        return read_logprobs(_LOGPROBS.decode(raw).content)
    except (msgspec.DecodeError, RecursionError):
        return None


def _arguments(raw: _Raw | msgspec.UnsetType) -> str:
    """Return a piece of arguments: text, or the object that some servers send."""
    if isinstance(raw, msgspec.UnsetType) or bytes(raw) == b"null":
        return ""
    return _TEXT.decode(raw) if bytes(raw).startswith(b'"') else bytes(raw).decode()
