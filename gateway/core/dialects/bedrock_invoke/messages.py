"""Anthropic's Messages by InvokeModel.

docs.aws.amazon.com/bedrock, "Anthropic Claude Messages API".

Model and streaming stand in the path, the version and the betas in the body. An answer is
Anthropic's, a stream has its events as `chunk` frames, the last one with Amazon's counts; errors
are Amazon's.
"""

from __future__ import annotations

import base64
import re
from typing import Any, Final

import msgspec

from ....errors import InvalidRequest
from ...wire.splice import JsonMember, splice
from ...wire.sse import SseDecoder, SseEvent
from ..anthropic_messages import errors as anthropic
from ..anthropic_messages.dialect import ANTHROPIC_MESSAGES
from ..base import HeaderList
from ..bedrock_converse import errors
from ..bedrock_converse.frames import KEEP_ALIVE, event_frame, exception_frame
from ..by_body.body_dialect import AskedByBody, Headers
from ..error_words import read_error
from .counts import INPUT_TOKENS, OUTPUT_TOKENS
from .titan import check_unnamed

_ENCODE: Final = msgspec.json.Encoder().encode
_TEXTS: Final = msgspec.json.Decoder(list[str])
VERSION: Final = "anthropic_version"
_BETA: Final = "anthropic_beta"
_HEADER: Final = re.compile(r"[!-+\--~]+")
_METRICS: Final = "amazon-bedrock-invocationMetrics"
_EVENTS: Final = b"text/event-stream"
_CONTENT_TYPE: Final = b"content-type"
# The exceptions that a stream may end in (`ResponseStream` of botocore's model of the service).
_EXCEPTIONS: Final = {
    400: "validationException",
    408: "modelTimeoutException",
    413: "validationException",
    429: "throttlingException",
    503: "serviceUnavailableException",
    504: "modelTimeoutException",
    529: "serviceUnavailableException",
}
_BROKEN: Final = "modelStreamErrorException"


class _Counts(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Message(msgspec.Struct):
    usage: _Counts | None = None


class _Event(msgspec.Struct):
    usage: _Counts | None = None
    message: _Message | None = None


_EVENT: Final = msgspec.json.Decoder(_Event)
# By what Amazon calls each.
_NAMES: Final = {
    "inputTokenCount": "input_tokens",
    "outputTokenCount": "output_tokens",
    "cacheReadInputTokenCount": "cache_read_input_tokens",
    "cacheWriteInputTokenCount": "cache_creation_input_tokens",
}


def asked_messages(
    body: bytes, found: list[JsonMember], model: str, *, stream: bool
) -> AskedByBody:
    """Return what a body of Anthropic's asks of `model`. Raises InvalidRequest (400)."""
    check_unnamed(found)
    values = {each.key: body[each.value_start : each.end] for each in found}
    put = {"model": _ENCODE(model), "stream": b"true" if stream else b"false"}
    written = splice(body, put=put, remove=(VERSION, _BETA), known=found)
    betas = values.get(_BETA, b"null")
    headers = {} if betas == b"null" else {b"anthropic-beta": _betas(betas)}
    return AskedByBody(ANTHROPIC_MESSAGES, written, FramedMessages(), headers)


def _betas(raw: bytes) -> bytes:
    """Return the list of betas as Anthropic's header has it."""
    try:
        found = _TEXTS.decode(raw)
    except msgspec.DecodeError as exc:
        raise InvalidRequest(f"{_BETA} must be a list of strings", param=_BETA) from exc
    if not all(_HEADER.fullmatch(each) for each in found):
        raise InvalidRequest(f"{_BETA} has what is no name of a beta", param=_BETA)
    return ",".join(found).encode("ascii")


class FramedMessages:
    """See `by_body.body_dialect.AnswerEncoding`. One answer's."""

    keep_alive = KEEP_ALIVE

    def __init__(self) -> None:
        self._decoder = SseDecoder()
        self._counts: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<FramedMessages {self._counts}>"

    def head(self, headers: Headers) -> HeaderList:
        found = [each for each in headers if each[0] != _CONTENT_TYPE]
        return [
            (_CONTENT_TYPE, b"application/vnd.amazon.eventstream"),
            (b"x-amzn-bedrock-content-type", b"application/json"),
            *found,
        ]

    def stream(self, data: bytes) -> bytes:
        return b"".join([self._frame(each) for each in self._decoder.feed(data)])

    def answer(
        self, status: int, headers: Headers, body: bytes, input_tokens: int | None
    ) -> tuple[HeaderList, bytes]:
        if status >= 400:
            return refused(status, headers, body)
        self._count(body)
        named = ((INPUT_TOKENS, "inputTokenCount"), (OUTPUT_TOKENS, "outputTokenCount"))
        counts = [
            (header, b"%d" % self._counts[name]) for header, name in named if name in self._counts
        ]
        return [*headers, *counts], body

    def _frame(self, event: SseEvent) -> bytes:
        data = event.data
        if data is None or event.name == b"ping":
            return KEEP_ALIVE
        if event.name == b"error":
            name = _EXCEPTIONS.get(anthropic.error_status(data) or 0, _BROKEN)
            return exception_frame(name, errors.error_body(read_error(data)))
        if event.name in (b"message_start", b"message_delta"):
            self._count(data)
        elif event.name == b"message_stop" and self._counts:
            data = splice(data, put={_METRICS: _ENCODE(self._counts)})
        return event_frame("chunk", b'{"bytes":"%b"}' % base64.b64encode(data))

    def _count(self, data: bytes) -> None:
        try:
            found = _EVENT.decode(data)
        except (msgspec.DecodeError, RecursionError):
            # Of another form than is known: it goes on all the same, and is not counted.
            return
        for usage in (found.usage, found.message and found.message.usage):
            if usage is None:
                continue
            for name, member in _NAMES.items():
                count: Any = getattr(usage, member)
                if count is not None:
                    self._counts[name] = count


def refused(status: int, headers: Headers, body: bytes) -> tuple[HeaderList, bytes]:
    """Return a provider's refusal in Amazon's form."""
    kind = (b"x-amzn-errortype", errors.error_type(status).encode("ascii"))
    shown = [each for each in headers if each[0] != _CONTENT_TYPE]
    return [(_CONTENT_TYPE, b"application/json"), kind, *shown], errors.error_body(read_error(body))
