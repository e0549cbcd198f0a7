"""Canonical events, written as Bedrock's.

In its order: `messageStart`, each block with its index counted from 0, `messageStop` with the
reason, `metadata` with usage. A call begins with an event, other blocks with their first piece.
Blocks other than calls are closed before another begins.
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
    Stopped,
    StopReason,
)
from ...canonical.opaque import shown_id, tagged
from ...canonical.tools import INPUT_BEGINS, INPUT_ENDS, inner_text
from ...canonical.translated_stream import DispatchingWriter
from ..foreign_state import shown_blob
from ..frames import event_frame
from ..usage import written_usage
from .citations import written_citation

_ENCODE: Final = msgspec.json.Encoder().encode
_REASONS: Final = {
    StopReason.END: "end_turn",
    StopReason.LENGTH: "max_tokens",
    StopReason.CONTEXT: "model_context_window_exceeded",
    StopReason.SEQUENCE: "stop_sequence",
    StopReason.CALLS: "tool_use",
    # Bedrock has no word for it; what the model has said so far is its turn.
    StopReason.PAUSE: "end_turn",
    StopReason.REFUSAL: "content_filtered",
}


class _Written(msgspec.Struct):
    """A block that is open towards the caller, and its signature so far."""

    index: int
    kind: str
    signature: str = ""
    custom: bool = False
    encrypted: bool = False
    silent: bool = True


class ConverseEventWriter(DispatchingWriter):
    """Writes one stream. `family` tags signatures."""

    def __init__(self, family: str) -> None:
        self._family = family
        self._started = False
        self._next = 0
        self._refused = False
        self._open: dict[int, _Written] = {}
        self._stopped: Stopped | None = None

    def write(self, event: Event) -> bytes:
        """Return what the caller gets for `event`."""
        if type(event) is Grown:
            written = self._open.get(event.index)
            if written is None:
                return b""
            if event.signature:
                written.signature += event.text
                return b""
            return _piece(written, inner_text(event.text) if written.custom else event.text)
        return self._other(event)

    def finish(self, usage: Usage | None, tokens: int) -> bytes:
        """Return the end of the stream."""
        out = self._start()
        stopped = self._stopped or Stopped(StopReason.END)
        reason = stopped.reason
        if reason is StopReason.REFUSAL and stopped.words and not self._refused:
            # The reason has no place for words: clients are shown them as a text.
            out += self._begin(BlockStarted(-1, "refusal")) + self.write(Grown(-1, stopped.words))
        out += b"".join([self._stop(index) for index in list(self._open)])
        if self._refused and reason is StopReason.END:
            reason = StopReason.REFUSAL
        end: dict[str, Any] = {"stopReason": _REASONS[reason]}
        if reason is StopReason.SEQUENCE and stopped.sequence is not None:
            end["additionalModelResponseFields"] = {"stop_sequence": stopped.sequence}
        # Clients want all counts there; a provider that says none has them at zero.
        counts = written_usage(usage or Usage())
        # How long the provider took is not known here, and its member is required.
        metadata = {"usage": counts, "metrics": {"latencyMs": 0}}
        return out + _event("messageStop", end) + _event("metadata", metadata)

    def _end(self, event: Stopped) -> bytes:
        # Its reason waits for the usage.
        self._stopped = self._stopped or event
        return b""

    def _start(self, id: str = "") -> bytes:
        if self._started:
            return b""
        self._started = True
        return _event("messageStart", {"role": "assistant"})

    def _begin(self, event: BlockStarted) -> bytes:
        out = self._start()
        kind = event.kind
        # Calls may grow side by side; nothing else does.
        ended = [key for key, each in self._open.items() if kind != "call" or each.kind != "call"]
        out += b"".join([self._stop(key) for key in ended])
        index, self._next = self._next, self._next + 1
        self._refused = self._refused or kind == "refusal"
        written = _Written(index, kind, custom=event.custom, encrypted=event.encrypted)
        self._open[event.index] = written
        if kind != "call":
            return out
        id = shown_id(event.call_id) if event.call_id else f"tooluse_gateway_{index}"
        call = {"toolUseId": id, "name": event.name}
        start = {"start": {"toolUse": call}, "contentBlockIndex": index}
        out += _event("contentBlockStart", start)
        return out + _piece(written, INPUT_BEGINS) if event.custom else out

    def _cite(self, event: Cited) -> bytes:
        written = self._open.get(event.index)
        citation = written_citation(event.citation)
        if written is None or written.kind not in ("text", "refusal") or citation is None:
            return b""
        return _delta(written.index, {"citation": citation})

    def _stop(self, key: int) -> bytes:
        written = self._open.pop(key, None)
        if written is None:
            return b""
        out = b""
        if written.encrypted:
            blob = shown_blob(self._family, written.signature)
            out = _delta(written.index, {"reasoningContent": {"redactedContent": blob}})
        elif written.kind == "thinking":
            signature = tagged(self._family, written.signature)
            out = _delta(written.index, {"reasoningContent": {"signature": signature}})
        elif written.custom:
            out = _piece(written, INPUT_ENDS)
        elif written.silent and written.kind != "call":
            # A block that nothing was said in begins and ends all the same.
            out = _piece(written, "")
        return out + _event("contentBlockStop", {"contentBlockIndex": written.index})


def _piece(written: _Written, text: str) -> bytes:
    written.silent = False
    if written.kind == "call":
        return _delta(written.index, {"toolUse": {"input": text}})
    if written.kind == "thinking":
        return _delta(written.index, {"reasoningContent": {"text": text}})
    return _delta(written.index, {"text": text})


def _delta(index: int, delta: dict[str, Any]) -> bytes:
    return _event("contentBlockDelta", {"delta": delta, "contentBlockIndex": index})


def _event(name: str, payload: dict[str, Any]) -> bytes:
    return event_frame(name, _ENCODE(payload))
