"""Canonical events, written as those of a response.

The order is OpenAI's: `response.created`, `.in_progress`, each item from `output_item.added` to
`.done`, and one of `response.completed`, `.incomplete` and `.failed` at the end, numbered without a
gap. Texts that follow each other are parts of one message. Calls may grow side by side.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....records.usage import Usage
from ...base import DialectRequest
from ...canonical.events import (
    BlockStarted,
    Cited,
    Event,
    Grown,
    Searched,
    Stopped,
    StopReason,
)
from ...canonical.translated_stream import DispatchingWriter
from ..errors import failed
from .open_items import CallItem, MessageItem, OpenItem, ReasoningItem, SearchItem
from .response_object import ResponseObject

_ENCODE: Final = msgspec.json.Encoder().encode
# Why an answer is not complete; all other reasons are those of one that is.
_INCOMPLETE: Final = {
    StopReason.LENGTH: "max_output_tokens",
    StopReason.CONTEXT: "max_output_tokens",
    StopReason.REFUSAL: "content_filter",
}
# Characters. The last event has all of the answer, so that all of it is in memory: as much as a
# whole answer may have by default.
MOST_TEXT: Final = 64 * 1024 * 1024
_OF_RESPONSE: Final = b'event: %b\ndata: {"type":"%b","sequence_number":%d,"response":%b}\n\n'


class ResponseEventWriter(DispatchingWriter):
    """Writes one stream. `model` is the requested name as JSON, `family` tags signatures."""

    def __init__(self, request: DialectRequest, model: bytes, family: str, now: float) -> None:
        self._response = ResponseObject(request, model, now)
        self._model = model
        self._family = family
        self._number = 0
        self._message: MessageItem | None = None
        # By the canonical index of a block; texts of one message have the same item.
        self._open: dict[int, OpenItem] = {}
        # What is whole, by its place.
        self._done: dict[int, bytes] = {}
        self._items = 0
        self._size = 0
        self._stopped: Stopped | None = None

    def write(self, event: Event) -> bytes:  # a row for each kind
        """Return what the caller gets for `event`."""
        if type(event) is Grown:
            item = self._open.get(event.index)
            if item is None:
                return b""
            if event.signature:
                item.sign(event.text)
                return b""
            item.add(event.text)
            self._size += len(event.text)
            if self._size > MOST_TEXT:
                raise ValueError("longer than an answer may be that is told again at its end")
            number = self._number
            self._number = number + 1
            if event.logprobs is not None and isinstance(item, MessageItem):
                return item.likely(event.logprobs) % (number, _ENCODE(event.text))
            return item.delta % (number, _ENCODE(event.text))
        return self._other(event)

    def finish(self, usage: Usage | None, tokens: int) -> bytes:
        """Return the end of the stream."""
        out = self._start("")
        stopped = self._stopped or Stopped(StopReason.END)
        if stopped.reason is StopReason.REFUSAL and stopped.words:
            out += self._begin(BlockStarted(-1, "refusal"))
            out += self.write(Grown(-1, stopped.words))
        out += self._close_others(calls=True)
        incomplete = _INCOMPLETE.get(stopped.reason)
        status = "completed" if incomplete is None else "incomplete"
        # Clients want all counts there; a provider that says none has them at zero.
        counts = _ENCODE(written_usage(usage or Usage()))
        output = [self._done[index] for index in sorted(self._done)]
        whole = self._response.written(status, output, usage=counts, incomplete=incomplete)
        return out + self._of_response(status, whole)

    def failure(self, message: str, code: str) -> bytes:
        """Return the data of the event by which the stream fails now."""
        response = b""
        if self._response.id:
            output = [self._done[index] for index in sorted(self._done)]
            response = self._response.written("failed", output)
        number = self._number
        return failed(message, code, response=response, model=self._model, sequence=number)

    def _end(self, event: Stopped) -> bytes:
        # Its reason waits for the usage.
        self._stopped = self._stopped or event
        return b""

    def _cite(self, event: Cited) -> bytes:
        item = self._open.get(event.index)
        return self._numbered(item.cite(event.citation)) if isinstance(item, MessageItem) else b""

    def _start(self, id: str) -> bytes:
        if self._response.id:
            return b""
        self._response.begin(id)
        begun = self._response.written("in_progress")
        return self._of_response("created", begun) + self._of_response("in_progress", begun)

    def _of_response(self, kind: str, response: bytes) -> bytes:
        name = b"response.%b" % kind.encode()
        self._number += 1
        return _OF_RESPONSE % (name, name, self._number - 1, response)

    def _numbered(self, events: list[bytes]) -> bytes:
        first = self._number
        self._number += len(events)
        return b"".join([each % number for number, each in enumerate(events, first)])

    def _begin(self, event: BlockStarted) -> bytes:
        out = self._start("")
        if event.kind in ("text", "refusal"):
            return out + self._begin_part(event)
        out += self._close_others()
        index, self._items = self._items, self._items + 1
        item: OpenItem
        if event.kind == "call":
            prefix = "ctc" if event.custom else "fc"
            item = CallItem(index, self._id(prefix, index), event)
        else:
            id = self._id("rs", index)
            item = ReasoningItem(index, id, self._family, encrypted=event.encrypted)
        self._open[event.index] = item
        return out + self._numbered(item.begin())

    def _search(self, event: Searched) -> bytes:
        out = self._start("") + self._close_others()
        index, self._items = self._items, self._items + 1
        item = SearchItem(index, self._id("ws", index), event)
        return out + self._numbered(item.begin()) + self._end_item(item)

    def _begin_part(self, event: BlockStarted) -> bytes:
        out = b""
        message = self._message
        if message is None:
            out += self._close_others()
            index, self._items = self._items, self._items + 1
            message = self._message = MessageItem(index, self._id("msg", index))
            out += self._numbered(message.begin())
        # A text that another follows has ended, whatever its provider says later.
        self._open = {key: each for key, each in self._open.items() if each is not message}
        self._open[event.index] = message
        return out + self._numbered(message.open_part(event.kind))

    def _id(self, prefix: str, index: int) -> str:
        return f"{prefix}_{self._response.id.removeprefix('resp_')}_{index}"

    def _stop(self, index: int) -> bytes:
        item = self._open.pop(index, None)
        # A message ends when something else begins: another text may be a part of it.
        return b"" if item is None or item is self._message else self._end_item(item)

    def _close_others(self, *, calls: bool = False) -> bytes:
        """Return the end of what does not grow beside others, and of `calls` if asked for."""
        out = b""
        for index, item in list(self._open.items()):
            if item is not self._message and (calls or not isinstance(item, CallItem)):
                del self._open[index]
                out += self._end_item(item)
        if self._message is not None:
            message, self._message = self._message, None
            self._open = {key: each for key, each in self._open.items() if each is not message}
            out += self._end_item(message)
        return out

    def _end_item(self, item: OpenItem) -> bytes:
        out = self._numbered(item.end())
        self._done[item.place["output_index"]] = item.done()
        return out


def written_usage(usage: Usage) -> dict[str, Any]:
    """Return the counts in OpenAI's arithmetic: all of the input, all of the output."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total,
    }
