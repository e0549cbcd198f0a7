"""Canonical events, written as those of a stream of generateContent.

Calls are told whole: their arguments are an object. The reason waits for the usage, which other
APIs send behind it, and both stand in the last event, as Google has it. Thoughts are shown as such,
unless the request says `includeThoughts: false`, and their state goes into the signature of the
next part that is none (`carried_state`).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....records.usage import Usage
from ...canonical.call import Thinking
from ...canonical.events import (
    BlockStarted,
    BlockStopped,
    Cited,
    Event,
    Grown,
    Searched,
    Started,
    Stopped,
    StopReason,
)
from ...canonical.reading import is_object
from ...canonical.tools import MOST_HELD_TEXT
from ..framing import Framing
from ..state.carried_state import carried
from .grounding import GroundingWriter

_ENCODE: Final = msgspec.json.Encoder().encode
_REASONS: Final = {
    StopReason.END: "STOP",
    StopReason.LENGTH: "MAX_TOKENS",
    StopReason.CONTEXT: "MAX_TOKENS",
    StopReason.SEQUENCE: "STOP",
    StopReason.CALLS: "STOP",
    # Nothing else says "ask again": whoever does, gets the rest.
    StopReason.PAUSE: "STOP",
    StopReason.REFUSAL: "SAFETY",
}
_TEXT: Final = b'{"text":%b}'
_THOUGHT: Final = b'{"text":%b,"thought":true}'
_SIGNED: Final = b'{"text":%b,"thoughtSignature":"%b"}'
_HEAD: Final = b'{"candidates":[{"content":{"parts":['
_TAIL: Final = b'],"role":"model"},"index":0}]'
_INVALID: Final = "INVALID_JSON"


class _OpenBlock(msgspec.Struct):
    """A block that is open: a call with what is known of it, or a thought with its text."""

    started: BlockStarted
    pieces: list[str] = []
    signature: str = ""


class GeminiEventWriter:
    """Writes one stream. `model` is the requested name as JSON, `family` is that of signatures."""

    def __init__(
        self, model: bytes, family: str, *, array: bool = False, thoughts: bool = True
    ) -> None:
        self.framing = Framing(array=array)
        self._family = family
        self._thoughts = thoughts
        self._about = b'"modelVersion":%b' % model
        self._tail = b"%b,%b}" % (_TAIL, self._about)
        self._open: dict[int, _OpenBlock] = {}
        # What has been thought and stands in no signature yet.
        self._state: list[Thinking] = []
        self._stopped: Stopped | None = None
        self._refused = False
        self._grounding = GroundingWriter()
        self._held = 0

    def write(self, event: Event) -> bytes:  # a row for each kind
        """Return what the caller gets for `event`. Raises ValueError for too long a call."""
        if type(event) is Grown:
            return self._grow(event)
        if isinstance(event, Started):
            if event.id:
                self._about += b',"responseId":' + _ENCODE(event.id)
                self._tail = b"%b,%b}" % (_TAIL, self._about)
            return b""
        if isinstance(event, BlockStarted):
            if event.kind in ("call", "thinking"):
                self._open[event.index] = _OpenBlock(event, [])
            else:
                self._grounding.begin(event.index)
                self._refused = self._refused or event.kind == "refusal"
            return b""
        if isinstance(event, BlockStopped):
            return self._stop(event.index)
        if isinstance(event, Stopped):
            self._stopped = self._stopped or event
        elif isinstance(event, Cited):
            self._grounding.cite(event.index, event.citation)
        else:
            assert isinstance(event, Searched)
            self._grounding.search(event)
        return b""

    def finish(self, usage: Usage | None, tokens: int) -> bytes:
        """Return the end of the stream."""
        out = b"".join([self._stop(index) for index in list(self._open)])
        stopped = self._stopped or Stopped(StopReason.END)
        reason = stopped.reason
        if self._refused and reason is StopReason.END:
            reason = StopReason.REFUSAL
        part: dict[str, Any] = {"text": ""}
        if self._state:
            part["thoughtSignature"] = self._signature()
        content = {"parts": [part], "role": "model"}
        candidate: dict[str, Any] = {
            "content": content,
            "finishReason": _REASONS[reason],
            "index": 0,
        }
        if (grounding := self._grounding.metadata()) is not None:
            candidate["groundingMetadata"] = grounding
        if reason is StopReason.REFUSAL and stopped.words:
            candidate["finishMessage"] = stopped.words
        counts = _ENCODE(written_usage(usage or Usage()))
        data = b'{"candidates":[%b],"usageMetadata":%b,%b}'
        last = data % (_ENCODE(candidate), counts, self._about)
        return out + self.framing.event(last) + self.framing.end()

    def _grow(self, event: Grown) -> bytes:
        block = self._open.get(event.index)
        if block is None:
            self._grounding.grow(event.index, event.text)
            return self._text(event.text)
        if event.signature:
            block.signature += event.text
            return b""
        self._held += len(event.text)
        if self._held > MOST_HELD_TEXT:
            raise ValueError("calls and thoughts are too long to be put together")
        block.pieces.append(event.text)
        if block.started.kind == "thinking" and self._thoughts:
            return self._part(_THOUGHT % _ENCODE(event.text))
        return b""

    def _text(self, text: str) -> bytes:
        if self._state:
            return self._part(_SIGNED % (_ENCODE(text), self._signature().encode()))
        return self._part(_TEXT % _ENCODE(text))

    def _part(self, part: bytes) -> bytes:
        return self.framing.event(b"%b%b%b" % (_HEAD, part, self._tail))

    def _signature(self) -> str:
        state, self._state = self._state, []
        return carried(state)

    def _stop(self, index: int) -> bytes:
        block = self._open.pop(index, None)
        if block is None:
            return b""
        text, started = "".join(block.pieces), block.started
        if started.kind == "thinking":
            encrypted = started.encrypted
            self._state.append(Thinking(text, self._family, block.signature, encrypted))
            return b""
        arguments: Any = msgspec.Raw(b"{}")
        if started.custom:
            # Such a tool takes any text; here it has the form of a function (`canonical/tools.py`).
            arguments = {"input": text}
        elif is_object(text):
            arguments = msgspec.Raw(text.encode())
        elif text.strip():
            arguments = {_INVALID: text}
        call: dict[str, Any] = {"name": started.name, "args": arguments}
        if started.call_id:
            call["id"] = started.call_id
        part: dict[str, Any] = {"functionCall": call}
        if self._state:
            part["thoughtSignature"] = self._signature()
        written = _ENCODE(part)
        if b"\n" in written or b"\r" in written:
            # An event can have several lines of data, but clients written by hand read one.
            written = msgspec.json.format(written, indent=-1)
        return self._part(written)


def written_usage(usage: Usage) -> dict[str, Any]:
    """Return the counts in Google's arithmetic: reasoning beside the candidates."""
    found: dict[str, Any] = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "totalTokenCount": usage.total,
    }
    if usage.reasoning_tokens:
        found["thoughtsTokenCount"] = usage.reasoning_tokens
    if usage.cached_tokens:
        found["cachedContentTokenCount"] = usage.cached_tokens
    for name, total, audio, image in (
        ("prompt", usage.input_tokens, usage.input_audio_tokens, usage.input_image_tokens),
        ("candidates", usage.output_tokens, usage.output_audio_tokens, usage.output_image_tokens),
    ):
        if audio or image:
            kinds = {"TEXT": max(0, total - audio - image), "AUDIO": audio, "IMAGE": image}
            found[f"{name}TokensDetails"] = [
                {"modality": kind, "tokenCount": count} for kind, count in kinds.items() if count
            ]
    return found
