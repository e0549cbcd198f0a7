"""Canonical events, written as Anthropic's.

The order is that which the SDK enforces: `message_start`, each block with its index counted from 0,
`message_delta` with the reason and all usage, `message_stop`. Blocks other than calls are closed
before another begins. The reason waits for the usage, which other APIs send behind it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....records.usage import Usage
from ...canonical.events import (
    BlockStarted,
    Cited,
    Event,
    Grown,
    Searched,
    Stopped,
    StopReason,
)
from ...canonical.opaque import shown_id, tagged
from ...canonical.tools import INPUT_BEGINS, INPUT_ENDS, inner_text
from ...canonical.translated_stream import DispatchingWriter
from ..stream import STOP
from .citations import written_citation
from .searches import written_search

_ENCODE: Final = msgspec.json.Encoder().encode
_REASONS: Final = {
    StopReason.END: "end_turn",
    StopReason.LENGTH: "max_tokens",
    StopReason.CONTEXT: "model_context_window_exceeded",
    StopReason.SEQUENCE: "stop_sequence",
    StopReason.CALLS: "tool_use",
    StopReason.PAUSE: "pause_turn",
    StopReason.REFUSAL: "refusal",
}
_DELTAS: Final = {
    "text": b'{"type":"text_delta","text":',
    "refusal": b'{"type":"text_delta","text":',
    "thinking": b'{"type":"thinking_delta","thinking":',
    "call": b'{"type":"input_json_delta","partial_json":',
}
_DELTA: Final = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b%b}}\n\n'
)


class _Written(msgspec.Struct):
    """A block that is open towards the caller, and its signature so far.

    A call of a `custom` tool, which is any text, is shown as the input that such a tool has as a
    function (`canonical/tools.py`).
    """

    index: int
    delta: bytes
    kind: str
    signature: str = ""
    custom: bool = False


class MessageEventWriter(DispatchingWriter):
    """Writes one stream. `model` is the requested name as JSON, `family` tags signatures."""

    def __init__(self, model: bytes, family: str) -> None:
        self._model = msgspec.Raw(model)
        self._family = family
        self._started = False
        self._next = 0
        self._refused = False
        self._open: dict[int, _Written] = {}
        self._stopped: Stopped | None = None

    def write(self, event: Event) -> bytes:  # a row for each kind
        """Return what the caller gets for `event`."""
        if type(event) is Grown:
            written = self._open.get(event.index)
            if written is None:
                return b""
            if event.signature:
                written.signature += event.text
                return b""
            text = inner_text(event.text) if written.custom else event.text
            return _DELTA % (written.index, written.delta, _ENCODE(text))
        return self._other(event)

    def finish(self, usage: Usage | None, tokens: int) -> bytes:
        """Return the end of the stream."""
        closed = self._start("") + b"".join([self._stop(index) for index in list(self._open)])
        stopped = self._stopped or Stopped(StopReason.END)
        reason = stopped.reason
        if self._refused and reason is StopReason.END:
            reason = StopReason.REFUSAL
        delta: dict[str, Any] = {
            "stop_reason": _REASONS[reason],
            "stop_sequence": stopped.sequence if reason is StopReason.SEQUENCE else None,
        }
        if reason is StopReason.REFUSAL and stopped.words:
            delta["stop_details"] = {
                "type": "refusal",
                "category": None,
                "explanation": stopped.words,
            }
        # Clients want all counts there; a provider that says none has them at zero.
        counts = written_usage(usage or Usage())
        return closed + _event("message_delta", delta=delta, usage=counts) + STOP

    def _end(self, event: Stopped) -> bytes:
        # Its reason waits for the usage.
        self._stopped = self._stopped or event
        return b""

    def _start(self, id: str) -> bytes:
        if self._started:
            return b""
        self._started = True
        message: dict[str, Any] = {
            "id": id if id.startswith("msg_") else f"msg_{id or 'gateway'}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            # The counts come at the end: other APIs have them only then.
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }
        return _event("message_start", message=message)

    def _begin(self, event: BlockStarted) -> bytes:
        kind = event.kind
        out = self._start("")
        if kind != "call":
            out += b"".join([self._stop(index) for index in list(self._open)])
        else:
            # Calls may grow side by side; nothing else does.
            others = [key for key, each in self._open.items() if each.kind != "call"]
            out += b"".join([self._stop(index) for index in others])
        index, self._next = self._next, self._next + 1
        block: dict[str, Any]
        if kind == "call":
            id = shown_id(event.call_id) if event.call_id else f"toolu_gateway_{index}"
            block = {"type": "tool_use", "id": id, "name": event.name, "input": {}}
        elif kind == "thinking":
            block = {"type": "thinking", "thinking": "", "signature": ""}
        else:
            self._refused = self._refused or kind == "refusal"
            block = {"type": "text", "text": ""}
        written = self._open[event.index] = _Written(index, _DELTAS[kind], kind)
        if event.encrypted:
            # All of it is in the block that begins: it is written when it stops.
            written.kind = "encrypted"
            return out
        out += _event("content_block_start", index=index, content_block=block)
        if event.custom:
            written.custom = True
            out += _DELTA % (index, written.delta, _ENCODE(INPUT_BEGINS))
        return out

    def _cite(self, event: Cited) -> bytes:
        written = self._open.get(event.index)
        if written is None or written.kind != "text":
            return b""
        citation = written_citation(event.citation, self._family)
        if citation is None:
            return b""
        delta = {"type": "citations_delta", "citation": citation}
        return _event("content_block_delta", index=written.index, delta=delta)

    def _search(self, event: Searched) -> bytes:
        """Return the two blocks that show a search; each is whole at once."""
        out = self._start("")
        others = [key for key, each in self._open.items() if each.kind != "call"]
        out += b"".join([self._stop(index) for index in others])
        index, self._next = self._next, self._next + 2
        id, given, content = written_search(event, index, self._family)
        call = {"type": "server_tool_use", "id": id, "name": "web_search", "input": {}}
        result = {"type": "web_search_tool_result", "tool_use_id": id, "content": content}
        out += _event("content_block_start", index=index, content_block=call)
        out += _DELTA % (index, _DELTAS["call"], _ENCODE(_ENCODE(given).decode()))
        out += _event("content_block_stop", index=index)
        out += _event("content_block_start", index=index + 1, content_block=result)
        return out + _event("content_block_stop", index=index + 1)

    def _stop(self, index: int) -> bytes:
        written = self._open.pop(index, None)
        if written is None:
            return b""
        number, out = written.index, b""
        if written.kind == "encrypted":
            data = tagged(self._family, written.signature)
            block = {"type": "redacted_thinking", "data": data}
            out = _event("content_block_start", index=number, content_block=block)
        elif written.kind == "thinking":
            signature = tagged(self._family, written.signature)
            delta = {"type": "signature_delta", "signature": signature}
            out = _event("content_block_delta", index=number, delta=delta)
        elif written.custom:
            out = _DELTA % (number, written.delta, _ENCODE(INPUT_ENDS))
        return out + _event("content_block_stop", index=number)


def written_usage(usage: Usage) -> dict[str, Any]:
    """Return the counts in Anthropic's arithmetic: the input without what the cache had."""
    written = usage.cache_write_tokens
    hour = min(usage.cache_write_1h_tokens, written)
    found: dict[str, Any] = {
        "input_tokens": max(0, usage.input_tokens - usage.cached_tokens - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens,
    }
    if written:
        found["cache_creation"] = {
            "ephemeral_5m_input_tokens": written - hour,
            "ephemeral_1h_input_tokens": hour,
        }
    if usage.web_searches:
        found["server_tool_use"] = {
            "web_search_requests": usage.web_searches,
            "web_fetch_requests": 0,
        }
    if usage.reasoning_tokens:
        found["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return found


def _event(kind: str, **members: Any) -> bytes:
    data = _ENCODE({"type": kind, **members})
    return b"event: %b\ndata: %b\n\n" % (kind.encode("ascii"), data)
