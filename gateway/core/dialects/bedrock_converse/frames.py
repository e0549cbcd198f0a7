"""Events of ConverseStream as frames of an event stream, and errors as exceptions of one."""

from __future__ import annotations

from typing import Final

from ...wire.binary.event_stream import Frame, encode_frame

EVENT_TYPE: Final = ":event-type"
_MESSAGE_TYPE: Final = ":message-type"
_EXCEPTION_TYPE: Final = ":exception-type"
_ERROR_CODE: Final = ":error-code"
_ERROR_MESSAGE: Final = ":error-message"
_CONTENT: Final = {":content-type": "application/json"}

# An event of a type that no client knows: botocore passes over it (`parsers.py`,
# `BaseEventStreamParser`), the other SDKs hand it out as an unknown member.
KEEP_ALIVE: Final = encode_frame(
    {EVENT_TYPE: "ping", **_CONTENT, _MESSAGE_TYPE: "event"}, b'{"p":""}'
)


def event_frame(name: str, payload: bytes) -> bytes:
    """Return the frame of the event `name`."""
    return encode_frame({EVENT_TYPE: name, **_CONTENT, _MESSAGE_TYPE: "event"}, payload)


def exception_frame(name: str, payload: bytes, message: str | None = None) -> bytes:
    """Return the frame that ends a stream badly; clients raise what `name` says.

    With a `message` those that do not know the name raise, too: botocore then reads the headers.
    """
    headers = {_EXCEPTION_TYPE: name, **_CONTENT, _MESSAGE_TYPE: "exception"}
    if message is not None:
        headers |= {_ERROR_CODE: name, _ERROR_MESSAGE: message}
    return encode_frame(headers, payload)


def event_name(frame: Frame) -> str:
    """Return the type of an event; "" for a frame that is none."""
    return frame.headers.get(EVENT_TYPE, "")


def exception_name(frame: Frame) -> str | None:
    """Return what a frame that is an error is called; None for any other frame."""
    kind = frame.headers.get(_MESSAGE_TYPE)
    if kind == "exception":
        return frame.headers.get(_EXCEPTION_TYPE, "")
    if kind == "error":
        # An error outside of the model of the service (the specification's "error" messages).
        return frame.headers.get(_ERROR_CODE, "")
    return None


def exception_text(frame: Frame) -> str:
    """Return what an error says in its headers; "" if it says it in its payload."""
    return frame.headers.get(_ERROR_MESSAGE, "")
