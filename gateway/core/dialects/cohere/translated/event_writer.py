"""Canonical events, written as Cohere's.

In its order: `message-start`, each block of content and each call with a number of its own, counted
from 0, and `message-end` with the reason and all usage. The reason waits for the usage, which
other APIs send behind it. What a text cites comes before its end.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....records.usage import Usage
from ...canonical.events import BlockStarted, Cited, Event, Grown, Stopped, StopReason
from ...canonical.tools import INPUT_BEGINS, INPUT_ENDS, inner_text
from ...canonical.translated_stream import DispatchingWriter
from ..event import LAST
from ..usage import written_usage
from .documents import ShownSources

_ENCODE: Final = msgspec.json.Encoder().encode
_REASONS: Final = {
    StopReason.END: "COMPLETE",
    StopReason.LENGTH: "MAX_TOKENS",
    StopReason.CONTEXT: "MAX_TOKENS",
    StopReason.SEQUENCE: "STOP_SEQUENCE",
    StopReason.CALLS: "TOOL_CALL",
    # The API has no word for it; what the model has said so far is its turn.
    StopReason.PAUSE: "COMPLETE",
    # What version 1 of the API says (`types/finish_reason.py`); this one has no word for it.
    StopReason.REFUSAL: "ERROR_TOXIC",
}
_DELTAS: Final = {
    "text": b'{"type":"content-delta","index":%d,"delta":{"message":{"content":{"text":%b}}}}',
    "thinking": (
        b'{"type":"content-delta","index":%d,"delta":{"message":{"content":{"thinking":%b}}}}'
    ),
    "call": (
        b'{"type":"tool-call-delta","index":%d,"delta":{"message":{"tool_calls":'
        b'{"function":{"arguments":%b}}}}}'
    ),
}
_EVENT: Final = b"event: %b\ndata: %b\n\n"
_BEGUN: Final = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}


class _Written(msgspec.Struct):
    """A block that is open towards the caller. `pieces` are kept for what may cite the text."""

    index: int
    kind: str
    name: bytes
    delta: bytes
    pieces: list[str] | None = None
    custom: bool = False


class CohereEventWriter(DispatchingWriter):
    """Writes one stream. `sources` are what the request has given the model to read."""

    def __init__(self, sources: ShownSources) -> None:
        self._sources = sources
        self._started = False
        self._contents = 0
        self._calls = 0
        self._citations = 0
        self._refused = False
        self._open: dict[int, _Written] = {}
        self._stopped: Stopped | None = None

    def write(self, event: Event) -> bytes:
        """Return what the caller gets for `event`."""
        if type(event) is Grown:
            written = self._open.get(event.index)
            if written is None or event.signature:
                return b""
            text = event.text
            if written.custom:
                text = inner_text(text)
            elif written.pieces is not None:
                written.pieces.append(text)
            return _EVENT % (written.name, written.delta % (written.index, _ENCODE(text)))
        return self._other(event)

    def finish(self, usage: Usage | None, tokens: int) -> bytes:
        """Return the end of the stream."""
        out = self._start("")
        stopped = self._stopped or Stopped(StopReason.END)
        reason = stopped.reason
        if self._refused and reason is StopReason.END:
            reason = StopReason.REFUSAL
        if reason is StopReason.REFUSAL and stopped.words and not self._refused:
            # Clients show the text, and hardly the reason.
            out += self._begin(BlockStarted(-1, "refusal")) + self.write(Grown(-1, stopped.words))
        out += b"".join([self._stop(index) for index in list(self._open)])
        delta: dict[str, Any] = {"finish_reason": _REASONS[reason]}
        if reason is StopReason.REFUSAL and stopped.words:
            delta["error"] = stopped.words
        # Clients want all counts there; a provider that says none has them at zero.
        delta["usage"] = written_usage(usage or Usage())
        return out + _event(LAST, delta=delta)

    def _end(self, event: Stopped) -> bytes:
        # Its reason waits for the usage.
        self._stopped = self._stopped or event
        return b""

    def _start(self, id: str) -> bytes:
        if self._started:
            return b""
        self._started = True
        delta = {"message": {**_BEGUN, "citations": []}}
        return _event("message-start", id=id or "gateway", delta=delta)

    def _begin(self, event: BlockStarted) -> bytes:
        out = self._start("")
        if event.encrypted:
            # Thinking that only its provider can read has no form here.
            return out
        others = [key for key, each in self._open.items() if each.kind != "call"]
        if event.kind != "call":
            # Calls may grow side by side; nothing else does.
            others = list(self._open)
        out += b"".join([self._stop(key) for key in others])
        if event.kind == "call":
            index, self._calls = self._calls, self._calls + 1
            written = _Written(index, "call", b"tool-call-delta", _DELTAS["call"])
            function = {"name": event.name, "arguments": ""}
            id = event.call_id or f"call_{index}"
            call = {"id": id, "type": "function", "function": function}
            out += _event("tool-call-start", index=index, delta={"message": {"tool_calls": call}})
        else:
            index, self._contents = self._contents, self._contents + 1
            kind = "thinking" if event.kind == "thinking" else "text"
            self._refused = self._refused or event.kind == "refusal"
            written = _Written(index, kind, b"content-delta", _DELTAS[kind])
            written.pieces = [] if kind == "text" else None
            content = {"type": kind, kind: ""}
            out += _event("content-start", index=index, delta={"message": {"content": content}})
        self._open[event.index] = written
        if event.custom:
            written.custom = True
            out += _EVENT % (written.name, written.delta % (index, _ENCODE(INPUT_BEGINS)))
        return out

    def _cite(self, event: Cited) -> bytes:
        written = self._open.get(event.index)
        if written is None or written.pieces is None:
            return b""
        text = "".join(written.pieces)
        citation = self._sources.written(event.citation, text, written.index)
        if citation is None:
            return b""
        index, self._citations = self._citations, self._citations + 1
        delta = {"message": {"citations": citation}}
        begun = _event("citation-start", index=index, delta=delta)
        return begun + _event("citation-end", index=index)

    def _stop(self, index: int) -> bytes:
        written = self._open.pop(index, None)
        if written is None:
            return b""
        if written.kind != "call":
            return _event("content-end", index=written.index)
        out = b""
        if written.custom:
            out = _EVENT % (written.name, written.delta % (written.index, _ENCODE(INPUT_ENDS)))
        return out + _event("tool-call-end", index=written.index)


def _event(kind: str, **members: Any) -> bytes:
    return _EVENT % (kind.encode("ascii"), _ENCODE({"type": kind, **members}))
