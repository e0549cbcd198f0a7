"""Canonical events, written as the chunks of a chat completion."""

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
from ...canonical.opaque import tagged
from ...canonical.tools import INPUT_BEGINS, INPUT_ENDS, inner_text
from ...canonical.translated_stream import DispatchingWriter
from ..stream import DONE
from .citations import written_annotation

_ENCODE: Final = msgspec.json.Encoder().encode
_REASONS: Final = {
    StopReason.END: "stop",
    StopReason.LENGTH: "length",
    StopReason.CONTEXT: "length",
    StopReason.SEQUENCE: "stop",
    StopReason.CALLS: "tool_calls",
    # Nothing else says "ask again": whoever does, gets the rest.
    StopReason.PAUSE: "stop",
    StopReason.REFUSAL: "content_filter",
}
# DeepSeek's name for reasoning, which most clients read; what is to be sent back goes into
# OpenRouter's `reasoning_details` besides.
_MEMBERS: Final = {"text": b"content", "thinking": b"reasoning_content", "refusal": b"refusal"}
# A piece of text and the log probabilities of its tokens.
_LIKELY: Final = b'%b%b},"logprobs":{"content":%b,"refusal":null},"finish_reason":null}]}\n\n'
_FORMAT: Final = "anthropic-claude-v1"


class _Written(msgspec.Struct):
    """A block that is open: what a piece of it begins and ends with, and its signature.

    `wrapped` is a call of a custom tool that the caller knows as none: it is shown as the input
    that such a tool has as a function (`canonical/tools.py`). `begins` is where a text does within
    the content, in characters.
    """

    kind: str
    head: bytes
    tail: bytes
    encrypted: bool = False
    text: str = ""
    signature: str = ""
    wrapped: bool = False
    begins: int = 0


class ChatEventWriter(DispatchingWriter):
    """Writes one stream. `model` is the requested name as JSON, `family` tags signatures.

    `shows_usage` says that the caller asked for usage, `customs` are the custom tools that it has.
    """

    def __init__(
        self,
        model: bytes,
        family: str,
        created: int,
        *,
        shows_usage: bool,
        whole: bool = False,
        customs: frozenset[str] = frozenset(),
    ) -> None:
        self._customs = customs
        self._model = model
        self._created = created
        self._family = family
        self._shows_usage = shows_usage or whole
        # Pieces of a whole answer are put together by their member: text once, with its signature.
        self._whole = whole
        self._head = b""
        self._calls = 0
        self._said = 0
        self._details = 0
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
            if written.kind == "thinking":
                written.text += event.text
            elif written.kind == "call":
                written.text = written.text or event.text
                if written.wrapped:
                    text = _ENCODE(inner_text(event.text))
                    return b"%b%b%b" % (written.head, text, written.tail)
            elif written.kind == "text":
                self._said += len(event.text)
                if event.logprobs is not None:
                    tokens = _ENCODE(event.logprobs)
                    return _LIKELY % (written.head, _ENCODE(event.text), tokens)
            return b"%b%b%b" % (written.head, _ENCODE(event.text), written.tail)
        # A search is not shown: a chat shows what is cited of it.
        return self._other(event)

    def finish(self, usage: Usage | None, tokens: int) -> bytes:
        out = self._start("")
        if self._stopped is None:
            out += self._end(Stopped(StopReason.END))
        if self._shows_usage and usage is not None:
            out += b'%b"choices":[],"usage":%b}\n\n' % (self._head, _ENCODE(written_usage(usage)))
        return out + DONE

    def _start(self, id: str) -> bytes:
        if self._head:
            return b""
        name = _ENCODE(id if id.startswith("chatcmpl") else f"chatcmpl-{id or 'gateway'}")
        self._head = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,' % (
            name,
            self._created,
            self._model,
        )
        return self._chunk(b'{"role":"assistant","content":null}' if self._whole else _ROLE)

    def _begin(self, event: BlockStarted) -> bytes:
        out = self._start("")
        if event.kind != "call":
            head, tail = self._around(b'{"%b":' % _MEMBERS[event.kind], b"}")
            written = _Written(event.kind, head, tail, event.encrypted, begins=self._said)
            self._open[event.index] = written
            return out
        number, self._calls = self._calls, self._calls + 1
        custom = event.custom and event.name in self._customs
        member, text = (b"custom", b"input") if custom else (b"function", b"arguments")
        opening = b'{"tool_calls":[{"index":%d,"%b":{"%b":' % (number, member, text)
        head, tail = self._around(opening, b"}}]}")
        written = self._open[event.index] = _Written("call", head, tail)
        if custom:
            # Nothing is a text, too.
            written.text = " "
        inner = {"name": event.name, text.decode(): ""}
        call = {
            "index": number,
            "id": event.call_id or f"call_gateway_{number}",
            "type": member.decode(),
            member.decode(): inner,
        }
        out += self._chunk(_ENCODE({"tool_calls": [call]}))
        if event.custom and not custom:
            written.wrapped, written.text = True, INPUT_BEGINS
            out += b"%b%b%b" % (head, _ENCODE(INPUT_BEGINS), tail)
        return out

    def _stop(self, index: int) -> bytes:
        written = self._open.pop(index, None)
        if written is not None and written.wrapped:
            return b"%b%b%b" % (written.head, _ENCODE(INPUT_ENDS), written.tail)
        if written is not None and written.kind == "call" and not written.text:
            # A call without arguments: clients parse them, and nothing is no JSON.
            written.text = "{}"
            return b"%b%b%b" % (written.head, b'"{}"', written.tail)
        if written is None or written.kind != "thinking" or not written.signature:
            return b""
        detail: dict[str, Any] = {"index": self._details, "format": _FORMAT}
        self._details += 1
        signature = tagged(self._family, written.signature)
        if written.encrypted:
            detail |= {"type": "reasoning.encrypted", "data": signature}
        else:
            detail |= {"type": "reasoning.text", "text": written.text, "signature": signature}
        return self._chunk(_ENCODE({"reasoning_details": [detail]}))

    def _cite(self, event: Cited) -> bytes:
        written = self._open.get(event.index)
        if written is None or written.kind != "text":
            return b""
        size = self._said - written.begins
        annotation = written_annotation(event.citation, written.begins, size)
        return b"" if annotation is None else self._chunk(_ENCODE({"annotations": [annotation]}))

    def _end(self, event: Stopped) -> bytes:
        if self._stopped is not None:
            return b""
        self._stopped = event
        out = self._start("") + b"".join([self._stop(index) for index in list(self._open)])
        if event.reason is StopReason.REFUSAL and event.words:
            out += self._chunk(_ENCODE({"refusal": event.words}))
        return out + self._chunk(b"{}", _ENCODE(_REASONS[event.reason]))

    def _around(self, opening: bytes, closing: bytes) -> tuple[bytes, bytes]:
        head = b'%b"choices":[{"index":0,"delta":%b' % (self._head, opening)
        return head, closing + b',"finish_reason":null}]}\n\n'

    def _chunk(self, delta: bytes, reason: bytes = b"null") -> bytes:
        return b'%b"choices":[{"index":0,"delta":%b,"finish_reason":%b}]}\n\n' % (
            self._head,
            delta,
            reason,
        )


_ROLE: Final = b'{"role":"assistant","content":""}'


def written_usage(usage: Usage) -> dict[str, Any]:
    """Return the counts in OpenAI's arithmetic: all of the input, all of the output."""
    taken = {"cached_tokens": usage.cached_tokens, "audio_tokens": usage.input_audio_tokens}
    if usage.cache_write_tokens:
        taken["cache_write_tokens"] = usage.cache_write_tokens
    given = {
        "reasoning_tokens": usage.reasoning_tokens,
        "audio_tokens": usage.output_audio_tokens,
    }
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total,
        "prompt_tokens_details": taken,
        "completion_tokens_details": given,
    }
