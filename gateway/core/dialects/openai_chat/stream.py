"""The rewriter of a chat completion stream: provider's bytes in, caller's bytes out.

It changes what is the gateway's to change and nothing else: the model name becomes the one
that was asked for, usage is noted and shown only to who asked, `id:` and `retry:` are taken
out (after one `id:` the OpenAI SDK dispatches an empty event at every blank line and fails,
openai-python `_streaming.py`), `[DONE]` is kept back so that only a success ends with it.

The hot path: one msgspec pass checks an event's syntax and finds the three members of
interest, then bytes are cut and joined. No event is ever decoded and encoded again.
"""

from __future__ import annotations

import json
from typing import Final

import msgspec

from ...records.usage import Usage
from ...wire.json_scan import NOTHING, check_utf8
from ...wire.splice import InvalidJSON, JsonMember, members, splice
from ...wire.sse import EventTooLarge, SseDecoder, SseEvent, encode
from .text_meter import TextMeter
from .usage import UsageReports

DONE: Final = b"data: [DONE]\n\n"


# Absent is UNSET, since msgspec gives the raw bytes of anything, null included.
_Found = msgspec.Raw | msgspec.UnsetType


class _Choice(msgspec.Struct, gc=False):
    delta: _Found = msgspec.UNSET
    finish_reason: _Found = msgspec.UNSET
    # Moonshot reports it here, in the last chunk.
    usage: _Found = msgspec.UNSET


class _Chunk(msgspec.Struct, gc=False):
    model: _Found = msgspec.UNSET
    usage: _Found = msgspec.UNSET
    x_groq: _Found = msgspec.UNSET
    error: _Found = msgspec.UNSET
    choices: list[_Choice] | None = None


_CHUNK: Final = msgspec.json.Decoder(_Chunk)
_DELTA: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MODEL_KEY: Final = b'"model"'
# Every escaped spelling of the key "model" has one of its letters, all U+0064 to U+006F, as
# \u006X.
_ESCAPED_LETTER: Final = b"\\u006"
_BACKSLASH: Final = 0x5C
_LF: Final = 0x0A
_NULL: Final = msgspec.Raw(b"null")
_UNSET: Final = msgspec.UNSET
_NULL_USAGE: Final = b',"usage":null}'
_USAGE_KEY: Final = b'"usage"'


class ChatStreamRewriter:
    """Rewrites one stream (see `base.StreamRewriter`). `model` is the requested name as JSON.

    `done` says that the provider sent `[DONE]`, `finished` that an answer has its finish_reason.
    """

    def __init__(self, model: bytes, *, keep_usage: bool, max_event_bytes: int) -> None:
        self.meaningful = False
        self.done = False
        self.finished = False
        self.error: bytes | None = None
        self.broken: str | None = None
        self.events = 0
        self.malformed = 0
        self._reports = UsageReports()
        self._text = TextMeter()
        self._keep_usage = keep_usage
        self._decoder = SseDecoder(max_event_bytes)
        self._model = model
        # The events of a stream begin alike: id, created and model, which is where the name
        # stands. What the last one began with, up to the name's end, and what came of it.
        self._old_head = b"-"
        self._new_head = b""

    @property
    def usage(self) -> Usage | None:
        """Return what the provider has reported so far."""
        return self._reports.usage

    @property
    def text_tokens(self) -> int:
        """Return about how many tokens of text have come so far."""
        return self._text.tokens

    @property
    def ended(self) -> bool:
        """Say whether there is nothing more to be had from the stream."""
        return self.done or self.error is not None or self.broken is not None

    def feed(self, chunk: bytes) -> bytes:
        """Return what the caller gets for `chunk`."""
        if self.ended:
            return b""
        try:
            events = self._decoder.feed(chunk)
        except EventTooLarge as exc:
            events = exc.events
            self.broken = str(exc)
        out: list[bytes] = []
        for event in events:
            data = event.data
            if data is None:
                out.append(event.comments + b"\n\n")
                continue
            rewritten = self._rewrite(data)
            if rewritten is not None:
                self.events += 1
                if event.name or event.comments or _LF in rewritten:
                    out.append(encode(SseEvent(rewritten, event.name, comments=event.comments)))
                else:
                    out.append(b"data: %b\n\n" % rewritten)
            elif self.done or self.error is not None:
                break
        return b"".join(out)

    def finish(self) -> bytes:
        """Return the `[DONE]` that was kept back, or that the provider has forgotten."""
        return DONE

    def _rewrite(self, data: bytes) -> bytes | None:
        """Return the event's new data; None to drop it."""
        try:
            if not data.isascii():
                # msgspec skips over strings that it does not have to decode.
                check_utf8(data)
            chunk = _CHUNK.decode(data)
        except (msgspec.DecodeError, InvalidJSON, RecursionError):
            return self._rewrite_odd(data)
        if chunk.error is not _UNSET and bytes(chunk.error) not in NOTHING:
            # OpenRouter's is a chunk like the others, with an error in it.
            self.error = data if chunk.model is msgspec.UNSET else self._set_model(data)
            return None
        choices = chunk.choices
        if choices:
            self._note(choices)
            self._text.event(choices, len(data))
        if chunk.x_groq is not _UNSET:
            self._reports.add_nested(chunk.x_groq)
        if chunk.usage is not _UNSET:
            if chunk.usage != _NULL:
                self._reports.add(chunk.usage)
                if not choices and not self._keep_usage:
                    return None
            if not self._keep_usage:
                # Comma and closing brace are the object's own if this is how it ends.
                end = len(data) - len(_NULL_USAGE)
                if data.endswith(_NULL_USAGE) and data.find(_USAGE_KEY) == end + 1:
                    data = data[:end] + b"}"
                else:
                    data = splice(data, remove=("usage",))
        return data if chunk.model is _UNSET else self._set_model(data)

    def _note(self, choices: list[_Choice]) -> None:
        for choice in choices:
            reason = choice.finish_reason
            # Some servers send "" until there is a reason.
            if reason is not _UNSET and bytes(reason) not in NOTHING:
                self.finished = self.meaningful = True
            if choice.usage is not _UNSET:
                self._reports.add(choice.usage)
        if not self.meaningful:
            self.meaningful = any(_has_content(choice.delta) for choice in choices)

    def _set_model(self, data: bytes) -> bytes:
        """Return `data`, an object that has a model, under the requested name."""
        old = self._old_head
        # A second model further on, plain or with escapes, is for the thorough way.
        if (
            data.startswith(old)
            and data.find(_MODEL_KEY, len(old)) < 0
            and (_BACKSLASH not in data or _ESCAPED_LETTER not in data)
        ):
            return self._new_head + data[len(old) :]
        found = members(data)
        self._learn(data, found)
        return splice(data, replace={"model": self._model}, known=found)

    def _learn(self, data: bytes, found: list[JsonMember]) -> None:
        """Note how `data` begins, if its first "model" is the object's own."""
        first = data.find(_MODEL_KEY)
        for member in found:
            if member.key == "model" and member.start == first:
                # The byte after the name belongs to it too: 4 is a beginning of 42.
                self._old_head = data[: member.end + 1]
                self._new_head = (
                    data[: member.value_start] + self._model + data[member.end : member.end + 1]
                )

    def _rewrite_odd(self, data: bytes) -> bytes | None:
        """Handle what the typed reading refuses: the end, odd shapes, lone surrogates, no JSON."""
        if data.startswith(b"[DONE]"):
            self.done = True
            return None
        try:
            fields = {found.key: data[found.value_start : found.end] for found in members(data)}
        except InvalidJSON:
            self.malformed += 1
            return None
        if fields.get("error", b"null") not in NOTHING:
            self.error = splice(data, replace={"model": self._model})
            return None
        # As float: int() refuses numbers with more than 4300 digits.
        choices = json.loads(fields.get("choices", b"null"), parse_int=float)
        usage = fields.get("usage", b"null")
        self._reports.add(usage)
        if not choices and usage != b"null" and not self._keep_usage:
            return None
        # No telling what it means, but it says something: let it through rather than hold it.
        self.meaningful = True
        if isinstance(choices, list) and any(_finishes(choice) for choice in choices):
            self.finished = True
        self._text.add_found(choices)
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            self._reports.add_found(choices[0].get("usage"))
        remove = () if self._keep_usage else ("usage",)
        return splice(data, replace={"model": self._model}, remove=remove)


def _has_content(delta: _Found) -> bool:
    """Say whether a delta carries more than the role that opens a message."""
    if not isinstance(delta, msgspec.Raw) or delta == _NULL:
        return False
    try:
        fields = _DELTA.decode(delta)
    except (msgspec.DecodeError, RecursionError):
        return True
    return any(key != "role" and bytes(value) not in NOTHING for key, value in fields.items())


def _finishes(choice: object) -> bool:
    return isinstance(choice, dict) and bool(choice.get("finish_reason"))
