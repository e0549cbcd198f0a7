"""The rewriter of a chat completion stream: provider's bytes in, caller's bytes out.

It changes what is the gateway's to change and nothing else: the model name becomes the one
that was asked for, usage is noted and shown only to who asked, `id:` and `retry:` are taken
out (after one `id:` the OpenAI SDK dispatches an empty event at every blank line and fails,
openai-python `_streaming.py`), `[DONE]` is kept back so that only a success ends with it.

The hot path: one msgspec pass checks an event's syntax and finds the three members of
interest, then bytes are cut and joined. No event is ever decoded and encoded again.
"""

from __future__ import annotations

from typing import Final

import msgspec

from .splice import InvalidJSON, members, splice
from .sse import Decoder, Event, encode
from .usage import Usage, read_usage

DONE: Final = b"data: [DONE]\n\n"
# A stream that says nothing for so long before its first meaningful event is let through:
# it is alive, and what is held back takes memory.
MAX_HELD: Final = 64 * 1024



# Absent is UNSET, since msgspec gives the raw bytes of anything, null included.
_Found = msgspec.Raw | msgspec.UnsetType


class _Choice(msgspec.Struct, gc=False):
    delta: _Found = msgspec.UNSET
    finish_reason: _Found = msgspec.UNSET


class _Chunk(msgspec.Struct, gc=False):
    model: _Found = msgspec.UNSET
    usage: _Found = msgspec.UNSET
    error: _Found = msgspec.UNSET
    choices: list[_Choice] | None = None


_CHUNK: Final = msgspec.json.Decoder(_Chunk)
_DELTA: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NOTHING: Final = frozenset({b"null", b'""', b"[]", b"{}", b"false", b"0"})
_MODEL_KEY: Final = b'"model"'
# Every escaped spelling of the key "model" has one of its letters, all U+0064 to U+006F, as
# \u006X.
_ESCAPED_LETTER: Final = b"\\u006"
_NULL: Final = msgspec.Raw(b"null")
_NULL_USAGE: Final = b',"usage":null}'


class StreamRewriter:
    """Rewrites one stream. `model` is the requested name as JSON.

    After each `feed`: `meaningful` says whether content has come, `done` whether the provider
    said `[DONE]`, `finished` whether every answer has its finish_reason, `error` holds a failed
    stream's error event. Nothing is read beyond `done` or `error`.
    """

    def __init__(self, model: bytes, *, keep_usage: bool, max_event_bytes: int) -> None:
        self.meaningful = False
        self.done = False
        self.finished = False
        self.error: bytes | None = None
        self.usage: Usage | None = None
        self.events = 0
        self.malformed = 0
        self._keep_usage = keep_usage
        self._decoder = Decoder(max_event_bytes)
        self._model = model
        self._new_member = _MODEL_KEY + b":" + model

    def feed(self, chunk: bytes) -> bytes:
        """Return what the caller gets for `chunk`. Raises sse.EventTooLarge."""
        out: list[bytes] = []
        for event in self._decoder.feed(chunk):
            data = event.data
            if data is None:
                out.append(event.comments + b"\n\n")
                continue
            if data.startswith(b"[DONE]"):
                self.done = True
                break
            rewritten = self._rewrite(data)
            if self.error is not None:
                break
            if rewritten is None:
                continue
            self.events += 1
            if event.name or event.comments:
                out.append(encode(Event(rewritten, event.name, comments=event.comments)))
            elif b"\n" in rewritten:
                out.append(encode(Event(rewritten)))
            else:
                out.append(b"data: %b\n\n" % rewritten)
        return b"".join(out)

    def _rewrite(self, data: bytes) -> bytes | None:
        """Return the event's new data; None to drop it."""
        try:
            chunk = _CHUNK.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._rewrite_odd(data)
        if isinstance(chunk.error, msgspec.Raw) and bytes(chunk.error) not in _NOTHING:
            self.error = data
            return None
        choices = chunk.choices
        if choices:
            for choice in choices:
                if choice.finish_reason is not msgspec.UNSET and choice.finish_reason != _NULL:
                    self.finished = self.meaningful = True
            if not self.meaningful:
                self.meaningful = any(_has_content(choice.delta) for choice in choices)
        if isinstance(chunk.usage, msgspec.Raw):
            if chunk.usage != _NULL:
                # The last report counts: who sends one with every chunk sends running totals.
                self.usage = read_usage(chunk.usage) or self.usage
                if not choices and not self._keep_usage:
                    return None
            if not self._keep_usage:
                data = _without_usage(data)
        if isinstance(chunk.model, msgspec.Raw):
            return self._set_model(data, bytes(chunk.model))
        return data

    def _set_model(self, data: bytes, old: bytes) -> bytes:
        at = data.find(_MODEL_KEY)
        member = _MODEL_KEY + b":" + old
        if (
            data.startswith(member, at)
            and data.find(_MODEL_KEY, at + 1) < 0
            and _ESCAPED_LETTER not in data
        ):
            # The object has a model, and this is the only place that can be it.
            return data[:at] + self._new_member + data[at + len(member) :]
        return splice(data, replace={"model": self._model})

    def _rewrite_odd(self, data: bytes) -> bytes | None:
        """Handle what the typed reading refuses: odd shapes, lone surrogates, no JSON at all."""
        try:
            fields = {found.key: data[found.value_start : found.end] for found in members(data)}
        except InvalidJSON:
            self.malformed += 1
            return None
        if fields.get("error", b"null") not in _NOTHING:
            self.error = data
            return None
        if "usage" in fields:
            self.usage = read_usage(fields["usage"]) or self.usage
        # No telling what it means, but it says something: let it through rather than hold it.
        self.meaningful = True
        remove = () if self._keep_usage else ("usage",)
        return splice(data, replace={"model": self._model}, remove=remove)


def _without_usage(data: bytes) -> bytes:
    if data.endswith(_NULL_USAGE):
        # Comma and closing brace are the object's own, so this is its last member.
        return data[: -len(_NULL_USAGE)] + b"}"
    return splice(data, remove=("usage",))


def _has_content(delta: _Found) -> bool:
    """Say whether a delta carries more than the role that opens a message."""
    if not isinstance(delta, msgspec.Raw) or delta == _NULL:
        return False
    try:
        fields = _DELTA.decode(delta)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True
    return any(key != "role" and bytes(value) not in _NOTHING for key, value in fields.items())
