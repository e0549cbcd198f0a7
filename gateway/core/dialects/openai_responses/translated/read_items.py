"""One item of an answer while it is read: the blocks that it becomes, and how far they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from ...canonical.events import BlockKind, BlockStarted, BlockStopped, Cited, Event, Grown
from ...canonical.logprobs import TokenLogprob, read_logprobs
from ...canonical.sources import MOST_CITED
from .reasoning_state import BETWEEN_PARTS, ReasoningState, packed
from .sources import read_annotation, read_annotations


class _Part(msgspec.Struct):
    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    logprobs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Item(msgspec.Struct):
    """What is read of an item; only those of `KINDS` become anything."""

    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    input: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    content: list[_Part] | None = None
    summary: list[_Part] | None = None
    encrypted_content: str | None = None


class _Kind(msgspec.Struct):
    type: str = ""


def read_item(raw: msgspec.Raw) -> Item:
    """Read an item. Raises DecodeError for one of `KINDS` that is not as it must be.

    Of any other type, new ones too, no more is read: their members may be anything.
    """
    kind = _KIND.decode(raw).type
    return _ITEM.decode(raw) if kind in KINDS else Item(kind)


class Growing(msgspec.Struct):
    """A block that is open: its canonical index, and how many characters and citations it has."""

    index: int
    size: int = 0
    cited: int = 0


_TEXT: Final = msgspec.json.Decoder(str)
_ENCODE: Final = msgspec.json.Encoder().encode
_KIND: Final = msgspec.json.Decoder(_Kind)
_ITEM: Final = msgspec.json.Decoder(Item)
KINDS: Final = frozenset({"message", "reasoning", "function_call", "custom_tool_call"})
_BLOCKS: Final[dict[str, BlockKind]] = {"text": "text", "refusal": "refusal", "call": "call"}
_OF_PARTS: Final = {"output_text": "text", "refusal": "refusal", "reasoning_text": "content"}


class ReadItem:
    """An item of the answer. `over`: it is told to its end; `called`: it is a call of the caller's.

    `next_index` gives the number of the next block, `tools` is what the response was asked with.
    """

    def __init__(self, next_index: Callable[[], int], tools: bytes) -> None:
        self.over = False
        self.called = False
        self._next = next_index
        self._tools = tools
        # Nothing of an item of the servers' own is shown, nor of one whose type is not known.
        self._shown = True
        self._id = ""
        # By what it is and its number within the item; reasoning has one block for all its parts.
        self._open: dict[tuple[str, int], Growing] = {}
        # Of reasoning: which of its two texts is told, and how long each part of it is.
        self._told = ""
        self._lengths: dict[int, int] = {}

    def growing(self, slot: str, number: int) -> Growing | None:
        """Return the open block that a delta belongs to; None if `grow` has to look closer."""
        return self._open.get((slot, number))

    def begin(self, item: Item) -> Iterator[Event]:
        """Take note of an item that has begun."""
        self._id = item.id or self._id
        if item.type in ("function_call", "custom_tool_call"):
            yield from self._begin_call(item)
        elif item.type not in KINDS:
            self._shown = False

    def grow(
        self, slot: str, number: int, text: str, tokens: list[TokenLogprob] | None = None
    ) -> Iterator[Event]:
        """Tell a piece of the item that goes to no open block yet, or that has `tokens`."""
        if not (text and self._shown) or self.over:
            return
        block = self._open.get((slot, number))
        if block is not None:
            block.size += len(text)
            yield Grown(block.index, text, logprobs=tokens)
            return
        if slot in ("summary", "content"):
            yield from self._think(slot, number, text)
            return
        if slot == "call":
            # Its item has not been told: without a name it is no call.
            return
        block = self._open[slot, number] = Growing(self._next())
        yield BlockStarted(block.index, _BLOCKS[slot])
        block.size = len(text)
        yield Grown(block.index, text, logprobs=tokens)

    def annotate(self, number: int, raw: msgspec.Raw) -> Iterator[Event]:
        """Tell what the text of a part cites."""
        block = self._open.get(("text", number))
        if block is not None and block.cited < MOST_CITED:
            block.cited += 1
            citation = read_annotation(raw)
            if citation is not None:
                yield Cited(block.index, citation)

    def tell(
        self, slot: str, number: int, whole: str, tokens: list[TokenLogprob] | None = None
    ) -> Iterator[Event]:
        """Tell what of a part that is whole no delta has brought."""
        if slot in ("summary", "content"):
            if not self._told or (slot == self._told and number not in self._lengths):
                yield from self.grow(slot, number, whole)
            return
        block = self._open.get((slot, number))
        if block is None:
            yield from self.grow(slot, number, whole, tokens)
        elif slot == "call" and len(whole) > block.size:
            # Of a text, what was said was said. Arguments have to be whole.
            rest = whole[block.size :]
            block.size = len(whole)
            yield Grown(block.index, rest)

    def end(self, item: Item) -> Iterator[Event]:
        """Tell the rest of an item that is whole."""
        if self.over:
            return
        if not (self._open or self.called or self._told):
            # It may be told at once, or its beginning may have been another item's.
            yield from self.begin(item)
        if self._shown and item.type in KINDS:
            if item.type == "message":
                yield from self._parts(item.content or ())
            elif item.type == "reasoning":
                yield from self._reasoned(item)
            else:
                given = item.input if item.type == "custom_tool_call" else item.arguments
                yield from self.tell("call", 0, _text_of(given))
        yield from self.close()

    def close(self) -> Iterator[Event]:
        """End what is open; nothing follows."""
        self.over = True
        for block in self._open.values():
            yield BlockStopped(block.index)
        self._open.clear()

    def _begin_call(self, item: Item) -> Iterator[Event]:
        custom = item.type == "custom_tool_call"
        name = item.name or ""
        if custom and self._is_of_server(name):
            self._shown = False
            return
        self.called = True
        block = self._open["call", 0] = Growing(self._next())
        id = item.call_id or item.id or ""
        space = item.namespace or ""
        yield BlockStarted(block.index, "call", id, name, custom=custom, namespace=space)

    def _is_of_server(self, name: str) -> bool:
        """Say whether a custom tool is none of those that the response was asked with."""
        known = self._tools
        return len(known) > len(b"[]") and _ENCODE(name) not in known

    def _think(self, slot: str, number: int, text: str) -> Iterator[Event]:
        if self._told and self._told != slot:
            # It has a summary beside its text, or the other way round: one of them is told.
            return
        block = self._open.get(("thinking", 0))
        if block is None:
            self._told = slot
            block = self._open["thinking", 0] = Growing(self._next())
            yield BlockStarted(block.index, "thinking")
        elif number not in self._lengths:
            yield Grown(block.index, BETWEEN_PARTS)
        self._lengths[number] = self._lengths.get(number, 0) + len(text)
        yield Grown(block.index, text)

    def _parts(self, parts: tuple[()] | list[_Part]) -> Iterator[Event]:
        for number, part in enumerate(parts):
            slot = _OF_PARTS.get(part.type)
            whole = part.refusal if slot == "refusal" else part.text
            if slot in ("text", "refusal") and whole:
                tokens = None if slot == "refusal" else _tokens(part)
                yield from self.tell(slot, number, whole, tokens)
                yield from self._cite_rest(number, part)

    def _cite_rest(self, number: int, part: _Part) -> Iterator[Event]:
        """Tell what a whole part cites that no event of its own has told."""
        block = self._open.get(("text", number))
        if block is None or isinstance(part.annotations, msgspec.UnsetType):
            return
        for citation in read_annotations(part.annotations)[block.cited : MOST_CITED]:
            if citation is not None:
                yield Cited(block.index, citation)

    def _reasoned(self, item: Item) -> Iterator[Event]:
        for slot, parts in (("summary", item.summary), ("content", item.content)):
            for number, part in enumerate(parts or ()):
                yield from self.tell(slot, number, part.text or "")
        lengths = [self._lengths[number] for number in sorted(self._lengths)]
        state = ReasoningState(item.id or self._id, item.encrypted_content or "")
        if self._told:
            setattr(state, self._told, lengths)
        signature = packed(state)
        block = self._open.get(("thinking", 0))
        if block is None:
            if not signature:
                return
            block = self._open["thinking", 0] = Growing(self._next())
            yield BlockStarted(block.index, "thinking", encrypted=True)
        if signature:
            yield Grown(block.index, signature, signature=True)


def _tokens(part: _Part) -> list[TokenLogprob] | None:
    return None if isinstance(part.logprobs, msgspec.UnsetType) else read_logprobs(part.logprobs)


def _text_of(raw: msgspec.Raw | msgspec.UnsetType) -> str:
    """Return the text of arguments, which some servers write as the object that it is."""
    if isinstance(raw, msgspec.UnsetType) or bytes(raw) == b"null":
        return ""
    return _TEXT.decode(raw) if bytes(raw).startswith(b'"') else bytes(raw).decode()
