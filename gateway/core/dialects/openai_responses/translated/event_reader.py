"""The events of a response, read into canonical ones.

Items are told apart by `output_index`: some servers give an item another id in each event. What an
item has that no delta has brought is told with its end, and an item that is only in the last event
then. What OpenAI's or xAI's servers did themselves is passed over, item and events: it is no call
of the caller's; web searches are told as such (`sources`). xAI shows the calls of its own tools as
those of custom tools; the `response` says which tools were asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from ...canonical.events import Event, Grown, Started, Stopped, StopReason
from ...canonical.logprobs import read_logprobs
from .read_items import ReadItem, read_item
from .sources import SEARCH, read_search

_Found = msgspec.Raw | msgspec.UnsetType


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    id: str | None = None
    status: str | None = None
    incomplete_details: _Incomplete | None = None
    output: list[msgspec.Raw] | None = None
    tools: _Found = msgspec.UNSET


class _Event(msgspec.Struct):
    type: str = ""
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    input: str | None = None
    item: _Found = msgspec.UNSET
    annotation: _Found = msgspec.UNSET
    response: _Response | None = None


class _Delta(msgspec.Struct, gc=False):
    """What most events are; no other member of them counts."""

    delta: str
    type: str = ""
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    logprobs: _Found = msgspec.UNSET


class _Kind(msgspec.Struct):
    type: str = ""


_DECODE: Final = msgspec.json.Decoder(_Event).decode
_DECODE_DELTA: Final = msgspec.json.Decoder(_Delta).decode
_KIND: Final = msgspec.json.Decoder(_Kind)
# By the type of a delta: what of its item grows.
_DELTAS: Final = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_summary_text.delta": "summary",
    "response.reasoning_text.delta": "content",
    "response.function_call_arguments.delta": "call",
    "response.custom_tool_call_input.delta": "call",
}
_WHOLES: Final = {
    "response.output_text.done": "text",
    "response.refusal.done": "refusal",
    "response.reasoning_summary_text.done": "summary",
    "response.reasoning_text.done": "content",
    "response.function_call_arguments.done": "call",
    "response.custom_tool_call_input.done": "call",
}
_ENDS: Final = {
    "response.completed": StopReason.END,
    "response.incomplete": StopReason.LENGTH,
    "response.cancelled": StopReason.END,
}
_ANNOTATED: Final = "response.output_text.annotation.added"
_OTHERS: Final = frozenset(
    {"response.output_item.added", "response.output_item.done", "response.created"}
)
_NO_TOKENS: Final = msgspec.Raw(b"[]")
_KNOWN: Final = _OTHERS | _DELTAS.keys() | _WHOLES.keys() | _ENDS.keys()


class ResponseEventReader:
    """Reads one stream."""

    def __init__(self) -> None:
        self._started = False
        self._stopped = False
        self._items: dict[int, ReadItem] = {}
        self._blocks = 0
        self._called = False
        self._tools: bytes = b""

    def read(self, data: bytes) -> Iterable[Event]:
        """Return what the data of an event says. Raises ValueError for what it cannot mean."""
        # The growing text of a block that has begun: most events by far.
        try:
            delta = _DECODE_DELTA(data)
        except msgspec.DecodeError:
            return self._other(data)
        slot = _DELTAS.get(delta.type)
        if slot is None:
            return self._other(data)
        item = self._items.get(delta.output_index)
        if item is None:
            item = self._item(delta.output_index)
        number = delta.summary_index if slot == "summary" else delta.content_index
        block = item.growing(slot, number)
        tokens = delta.logprobs
        if tokens is not msgspec.UNSET and tokens != _NO_TOKENS:
            return item.grow(slot, number, delta.delta, read_logprobs(tokens))
        if block is not None:
            block.size += len(delta.delta)
            return (Grown(block.index, delta.delta),) if delta.delta else ()
        return item.grow(slot, number, delta.delta)

    def _other(self, data: bytes) -> Iterable[Event]:
        try:
            event = _DECODE(data)
        except msgspec.DecodeError:
            if _KIND.decode(data).type in _KNOWN:
                raise
            return ()
        kind = event.type
        slot = _WHOLES.get(kind)
        if slot is not None:
            return self._whole(event, slot)
        if kind in _ENDS:
            return self._end(event, _ENDS[kind])
        if kind == _ANNOTATED and isinstance(event.annotation, msgspec.Raw):
            return self._item(event.output_index).annotate(event.content_index, event.annotation)
        if kind not in _OTHERS:
            return ()
        return self._of_item(event, kind)

    def _whole(self, event: _Event, slot: str) -> Iterable[Event]:
        item = self._item(event.output_index)
        number = event.summary_index if slot == "summary" else event.content_index
        for whole in (event.text, event.refusal, event.arguments, event.input):
            if whole is not None:
                return item.tell(slot, number, whole)
        return ()

    def _of_item(self, event: _Event, kind: str) -> Iterator[Event]:
        if event.response is not None:
            yield from self._start(event.response)
        if not isinstance(event.item, msgspec.Raw):
            return
        item = self._item(event.output_index)
        if kind == "response.output_item.added":
            yield from item.begin(read_item(event.item))
        else:
            yield from self._item_done(item, event.item)

    def _item_done(self, item: ReadItem, raw: msgspec.Raw) -> Iterator[Event]:
        told = read_item(raw)
        yield from item.end(told)
        if told.type == SEARCH and (searched := read_search(raw)) is not None:
            yield searched
        self._called = self._called or item.called

    def _item(self, index: int) -> ReadItem:
        item = self._items.get(index)
        if item is None:
            item = self._items[index] = ReadItem(self._next, self._tools)
        return item

    def _next(self) -> int:
        index, self._blocks = self._blocks, self._blocks + 1
        return index

    def _start(self, response: _Response) -> Iterator[Event]:
        if isinstance(response.tools, msgspec.Raw):
            self._tools = bytes(response.tools)
        if not self._started:
            self._started = True
            yield Started(response.id or "")

    def _end(self, event: _Event, reason: StopReason) -> Iterator[Event]:
        response = event.response or _Response()
        yield from self._start(response)
        output = response.output or ()
        if len(output) == len(self._items) and not self._items.keys() >= {*range(len(output))}:
            # All of them were told, by other numbers than their places.
            output = ()
        for index, raw in enumerate(output):
            item = self._item(index)
            if not item.over:
                yield from self._item_done(item, raw)
        for item in self._items.values():
            # What was cut off by the end.
            yield from item.close()
            self._called = self._called or item.called
        if self._stopped:
            return
        self._stopped = True
        if reason is StopReason.LENGTH:
            details = response.incomplete_details or _Incomplete()
            if details.reason == "content_filter":
                reason = StopReason.REFUSAL
        elif self._called:
            reason = StopReason.CALLS
        yield Stopped(reason)
