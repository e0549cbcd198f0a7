"""How a stream fails: `response.failed`, always its last event.

Codex takes `context_length_exceeded`, `insufficient_quota` and `usage_not_included` for final and
tries again after every other code (codex-rs, `codex-api/src/sse/responses.rs`).
"""

from __future__ import annotations

from typing import Final

import msgspec

from ...wire.json_scan import NOTHING
from ...wire.splice import InvalidJSON, splice
from ...wire.sse import SseEvent, encode
from ..openai_chat.faults import named, values
from .event import ERROR, FAILED, Event, Found, read_event, read_response, text_of

_ENCODE: Final = msgspec.json.Encoder().encode
# Codes of ours that its clients know, too. `server_error` is what OpenAI says for all others
# (openai-python, `types/responses/response_error.py`).
_KNOWN: Final = frozenset({"rate_limit_exceeded", "context_length_exceeded", "insufficient_quota"})
_OTHER: Final = "server_error"
# Between the data of two events; no JSON has it.
BETWEEN: Final = b"\0"
_SILENT: Final = "the provider reports an error"
# Every member that openai-python's `Response` requires, for a stream that had none.
_EMPTY: Final = (
    b'{"id":"resp_none","object":"response","created_at":0,"status":"failed","error":null,'
    b'"incomplete_details":null,"instructions":null,"metadata":{},"model":"","output":[],'
    b'"parallel_tool_calls":true,"temperature":null,"tool_choice":"auto","tools":[],'
    b'"top_p":null}'
)


def failed(
    message: str, code: str, *, response: bytes = b"", model: bytes = b'""', sequence: int = 0
) -> bytes:
    """Return the data of an event that ends a stream badly.

    `response` is the object as the stream had it last, `sequence` the event's number.
    """
    told = _ENCODE({"code": code or _OTHER, "message": message})
    put = {"status": b'"failed"', "error": told}
    whole = splice(response or splice(_EMPTY, replace={"model": model}), put=put)
    return b'{"type":"%b","sequence_number":%d,"response":%b}' % (
        FAILED.encode(),
        sequence,
        whole,
    )


def own_code(code: str) -> str:
    """Return what an error of the gateway's with `code` is called in this dialect."""
    return code if code in _KNOWN else _OTHER


def events_of(data: bytes) -> bytes:
    """Return the events that have `data`: the last one's, perhaps behind that of an `error`."""
    *told, last = data.split(BETWEEN)
    shown = [encode(SseEvent(each, ERROR.encode())) for each in told]
    return b"".join([*shown, encode(SseEvent(last, FAILED.encode()))])


def is_failed(data: bytes) -> bool:
    """Say whether `data` ends with that of an event that ends a stream badly."""
    try:
        return read_event(data.rpartition(BETWEEN)[2]).type == FAILED
    except InvalidJSON:
        return False


def error_of(event: Event, data: bytes) -> bytes:
    """Return the error that an event reports, in OpenAI's object, which HTTP errors have."""
    if event.type == FAILED and event.response is not msgspec.UNSET:
        return _told(read_response(event.response).error)
    if event.error is not msgspec.UNSET:
        return _told(event.error)
    try:
        fields = values(data)
    except InvalidJSON:
        return named(data)
    shown = {name: msgspec.Raw(fields[name]) for name in _SHOWN if name in fields}
    return _ENCODE({"error": shown}) if shown else _told(msgspec.UNSET)


_SHOWN: Final = ("message", "code", "param")


def words_of(error: bytes) -> tuple[str, str]:
    """Return message and code of an error, as `error_of` gives it or an HTTP answer has it."""
    try:
        fields = values(error)
        inner = fields.get("error", b"null")
        if inner.startswith(b"{"):
            fields = values(inner)
        elif inner.startswith(b'"'):
            return text_of(inner), ""
    except InvalidJSON:
        return _SILENT, ""
    return text_of(fields.get("message", b"")) or _SILENT, text_of(fields.get("code", b""))


def _told(error: Found) -> bytes:
    if isinstance(error, msgspec.UnsetType) or bytes(error) in NOTHING:
        return _ENCODE({"error": {"message": _SILENT, "code": _OTHER}})
    return b'{"error":%b}' % bytes(error)
