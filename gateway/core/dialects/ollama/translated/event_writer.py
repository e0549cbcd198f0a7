"""Canonical events, written as the lines of Ollama's API.

Calls of tools stand in a line whole, so that their arguments are collected first.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ....records.usage import Usage
from ...canonical.events import (
    BlockStarted,
    BlockStopped,
    Event,
    Grown,
    Stopped,
    StopReason,
)
from ...canonical.reading import is_object
from ...canonical.tools import INPUT_BEGINS, INPUT_ENDS, inner_text

_ENCODE: Final = msgspec.json.Encoder().encode
_REASONS: Final = {
    StopReason.LENGTH: "length",
    StopReason.CONTEXT: "length",
    # The API has no word for it, and any other would make it an ordinary answer.
    StopReason.REFUSAL: "refusal",
}
# Of all the calls of an answer, in characters.
_MOST: Final = 16 * 1024 * 1024


class _Call(msgspec.Struct):
    name: str
    id: str
    custom: bool
    pieces: list[str] = []


class OllamaEventWriter:
    """Writes one stream; `generate`: of an answer to a prompt. `model` is its name as JSON."""

    def __init__(self, model: bytes, now: float, *, generate: bool) -> None:
        date = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self._head = b'{"model":%b,"created_at":%b,' % (model, _ENCODE(date))
        self._generate = generate
        self._kinds: dict[int, str] = {}
        self._calls: dict[int, _Call] = {}
        self._size = 0
        self._refused = False
        self._stopped: Stopped | None = None

    def write(self, event: Event) -> bytes:
        """Return what the caller gets for `event`."""
        if isinstance(event, Grown):
            return self._grow(event)
        if isinstance(event, BlockStarted):
            if event.kind == "call":
                self._calls[event.index] = _Call(event.name, event.call_id, event.custom, [])
            elif not event.encrypted:
                self._refused = self._refused or event.kind == "refusal"
                self._kinds[event.index] = "thinking" if event.kind == "thinking" else "content"
        elif isinstance(event, BlockStopped):
            self._kinds.pop(event.index, None)
            return self._called(event.index)
        elif isinstance(event, Stopped) and self._stopped is None:
            self._stopped = event
            out = b"".join([self._called(index) for index in list(self._calls)])
            if event.reason is StopReason.REFUSAL and event.words:
                out += self._line({"content": event.words})
            return out
        # What a search has found, and what a text cites: the API has no place for it.
        return b""

    def finish(self, usage: Usage | None, tokens: int) -> bytes:
        """Return the last line."""
        stopped = self._stopped or Stopped(StopReason.END)
        reason = stopped.reason
        if self._refused and reason is StopReason.END:
            reason = StopReason.REFUSAL
        last: dict[str, Any] = {"done_reason": _REASONS.get(reason, "stop")}
        # Clients want all counts there; a provider that says none has them at zero.
        counts = usage or Usage()
        last |= {"prompt_eval_count": counts.input_tokens, "eval_count": counts.output_tokens}
        message = self._members({"content": ""})
        return b'%b%b,"done":true,%b\n' % (self._head, message, _ENCODE(last)[1:])

    def _grow(self, event: Grown) -> bytes:
        if event.signature:
            return b""
        call = self._calls.get(event.index)
        if call is not None:
            self._size += len(event.text)
            if self._size > _MOST:
                raise ValueError("the calls of tools are too long")
            call.pieces.append(event.text)
            return b""
        kind = self._kinds.get(event.index)
        return b"" if kind is None or not event.text else self._line({kind: event.text})

    def _called(self, index: int) -> bytes:
        call = self._calls.pop(index, None)
        if call is None:
            return b""
        text = "".join(call.pieces) or "{}"
        if call.custom:
            text = f"{INPUT_BEGINS}{inner_text(text)}{INPUT_ENDS}"
        if not is_object(text):
            # The API has objects only: what the model wrote is shown as it is, inside of one.
            text = f"{INPUT_BEGINS}{inner_text(text)}{INPUT_ENDS}"
        # A line is one: what the model wrote may have several.
        arguments = (
            msgspec.json.format(text.encode(), indent=-1)
            if "\n" in text or "\r" in text
            else text.encode()
        )
        function = {"name": call.name, "arguments": msgspec.Raw(arguments)}
        return self._line({"content": "", "tool_calls": [{"id": call.id, "function": function}]})

    def _line(self, said: dict[str, Any]) -> bytes:
        return b'%b%b,"done":false}\n' % (self._head, self._members(said))

    def _members(self, said: dict[str, Any]) -> bytes:
        if not self._generate:
            return b'"message":' + _ENCODE({"role": "assistant", "content": "", **said})
        found = {"response": said.get("content", "")}
        if "thinking" in said:
            found["thinking"] = said["thinking"]
        return _ENCODE(found)[1:-1]
