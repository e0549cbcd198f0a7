"""Which requests are let in, and how the others are answered.

h11 accepts more than a gateway may pass on: Content-Length together with Transfer-Encoding,
authority and absolute targets, any version number, control bytes in values, heads of any size
that arrive in one read, lines that end in a bare LF. Where two parsers in a row read a request
differently, requests can be smuggled past the first (RFC 9112 section 11.2), so nothing that
is open to two readings gets in. Pure: bytes in, a refusal or None out.
"""

from __future__ import annotations

import http
import re
from collections.abc import Iterable
from typing import Final

import h11
import msgspec

from ..core.dialects.refused_heads import dialect_of_head, refused_head
from ..core.wire.field_names import LOOK_ALIKES
from .policy import ServingPolicy

# The same end that h11 looks for (`_receivebuffer.py`), so that both see the same head.
_HEAD_END: Final = re.compile(rb"\n\r?\n")
_REQUEST_LINE: Final = re.compile(rb"([^ ]+) ([^ ]+) HTTP/(\d)\.(\d)\r\n")
# "/" and then RFC 3986 section 3.3 and 3.4 generously read: anything visible but a fragment.
_ORIGIN_FORM: Final = re.compile(rb"/[!-\"$-~]*")
# RFC 3986 section 3.2.2 and 3.2.3 without user information: a name or an address, and a port.
_HOST: Final = re.compile(rb"(?:[\w\-.~%!$&'()*+,;=]*|\[[\w:.%\-~]+\])(?::\d*)?", re.ASCII)
# One number. Lists of the same one, which RFC 9110 section 8.6 lets a server accept, others refuse
# or read differently. No body has as many digits.
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*[0-9]{1,18}[ \t]*\r\n")
_LENGTH_NAME: Final = b"\r\ncontent-length"
# RFC 9112 section 5.2: a line that continues the one before has been obsolete since 2014, and what
# reads it as a line of its own finds another header there.
_CONTINUED: Final = (b"\n ", b"\n\t")
# RFC 9110 section 10.1.1: a list, perhaps with empty members, of what is all the same.
_MET: Final = re.compile(rb"(?:100-continue)?(?:[ \t]*,[ \t]*(?:100-continue)?)*", re.IGNORECASE)
# RFC 9110 section 5.5: CR, LF and NUL are dangerous, other control bytes are never needed.
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class HeadRefusal(msgspec.Struct, frozen=True):
    """`retry_after` is in seconds: when the client may ask again."""

    status: int
    message: str
    retry_after: int | None = None


def bad(message: str) -> HeadRefusal:
    """Refuse with 400: the request is malformed or open to two readings."""
    return HeadRefusal(400, message)


_TOO_MUCH: Final = "The gateway has too much to do; try again in a moment."
HEAD_TOO_LATE: Final = HeadRefusal(408, "The request's head did not arrive in time.")
APP_FAILED: Final = HeadRefusal(500, "The server failed to answer this request.")
NO_MEMORY: Final = HeadRefusal(503, "The server has no memory left for this request.")
_EXPECTATION: Final = HeadRefusal(417, "Only the expectation 100-continue can be met.")
WRONG_HOST: Final = HeadRefusal(404, "This host is not served here.")
_NO_FIELD: Final = bad(
    "Header values must not contain control characters, nor names be like those that decide."
)
_TOO_LARGE: Final = HeadRefusal(431, "The request's header fields are too large.")


def too_much(retry_after: int) -> HeadRefusal:
    """Refuse with 503: more is asked of the process than it can do."""
    return HeadRefusal(503, _TOO_MUCH, retry_after)


def find_head_end(buffer: bytearray, searched: int) -> int:
    """Return where the head ends in `buffer`, or -1; the first `searched` bytes are known."""
    # The end is at most three bytes long, so two of the known ones may belong to it.
    found = _HEAD_END.search(buffer, max(0, searched - 2))
    return found.end() if found else -1


def check_unfinished(buffer: bytearray, policy: ServingPolicy) -> HeadRefusal | None:
    """Judge the beginning of a head that has no end yet."""
    if len(buffer) >= policy.max_header_bytes:
        return _TOO_LARGE
    if buffer[0] < 0x21 and buffer != b"\r":
        # Such as 0x16, the first byte of a TLS handshake sent to a plain port.
        return bad("This is not an HTTP/1.1 request.")
    return None


def check_head(head: bytes, policy: ServingPolicy) -> HeadRefusal | None:
    """Judge a complete head as it stood on the wire, before it is parsed."""
    if len(head) > policy.max_header_bytes:
        return _TOO_LARGE
    lines = head.count(b"\n")
    if lines - 2 > policy.max_headers:
        return _TOO_LARGE
    if lines != head.count(b"\r\n") or lines != head.count(b"\r"):
        return bad("Lines must end in CRLF.")
    line = _REQUEST_LINE.match(head)
    if line is None:
        return bad("The request line is malformed.")
    if line[3] != b"1" or line[4] not in (b"0", b"1"):
        return HeadRefusal(505, "Only HTTP/1.0 and HTTP/1.1 are spoken.")
    return _check_lines(head)


def _check_lines(head: bytes) -> HeadRefusal | None:
    """Judge what a parser does not show any more."""
    if _CONTINUED[0] in head or _CONTINUED[1] in head:
        return bad("Header lines must not begin with a blank.")
    lower = head.lower()
    found = lower.find(_LENGTH_NAME)
    if found >= 0 and (not _LENGTH.match(lower, found) or lower.find(_LENGTH_NAME, found + 1) >= 0):
        return bad("Content-Length must be one number.")
    return None


def unparsed(error: h11.RemoteProtocolError) -> HeadRefusal:
    """Return the refusal of a head that h11 cannot parse.

    h11 quotes the line that it could not, which may be the one with the key.
    """
    return HeadRefusal(error.error_status_hint, f"{said(error)}.")


def said(error: h11.ProtocolError) -> str:
    """Return what h11 says is wrong, without what it quotes."""
    return str(error).partition(":")[0].strip().rstrip(".")


def check_request(
    method: bytes, target: bytes, version: bytes, headers: Iterable[tuple[bytes, bytes]]
) -> HeadRefusal | None:
    """Judge a parsed request; header names are in lower case."""
    if method == b"CONNECT" or not method.isupper():
        # ASGI has methods in capitals, and turning "get" into GET would be a second reading.
        return HeadRefusal(501, "This method is not supported.")
    # RFC 9112 section 3.2.2 would have servers take absolute targets as well, but only proxies
    # are sent those, and their authority would compete with Host.
    if _ORIGIN_FORM.fullmatch(target) is None and (method, target) != (b"OPTIONS", b"*"):
        return bad("The request target must be a path that starts with '/'.")
    return _check_fields(version, headers)


def _check_fields(version: bytes, headers: Iterable[tuple[bytes, bytes]]) -> HeadRefusal | None:
    hosts = keys = 0
    sized = chunked = False
    for name, value in headers:
        if LOOK_ALIKES[name] or _CONTROL.search(value):
            return _NO_FIELD
        if name == b"host":
            hosts += 1
            if _HOST.fullmatch(value) is None:
                return bad("The Host header is malformed.")
        elif name == b"content-length":
            sized = True
        elif name == b"authorization":
            keys += 1
        elif name == b"transfer-encoding":
            chunked = True
        elif name == b"expect" and not _MET.fullmatch(value):
            # RFC 9110 section 10.1.1.
            return _EXPECTATION
    if hosts > 1 or (hosts == 0 and version != b"1.0") or keys > 1:
        # RFC 9112 section 3.2 has no other answer to hosts. Of two keys, what stands in front may
        # have looked at the other (RFC 9110 section 5.3).
        one_key = "At most one Authorization header may be sent."
        return bad(one_key if keys > 1 else "Exactly one Host header is required.")
    if chunked and (sized or version == b"1.0"):
        # RFC 9112 section 6.1: "ought to be handled as an error", and 1.0 never had it.
        return bad("Transfer-Encoding goes with neither Content-Length nor HTTP/1.0.")
    return None


def render(
    refusal: HeadRefusal,
    request_id: str,
    *,
    date: Iterable[tuple[bytes, bytes]],
    bodiless: bool,
    head: bytes = b"",
    close: bool = True,
) -> bytes:
    """Return the whole answer to `head`; with `close` the connection ends with it.

    It is an error of the API whose path was asked for; in plain text where there is no path.
    """
    status, message, after = refusal.status, refusal.message, refusal.retry_after
    dialect = dialect_of_head(head)
    if dialect is not None:
        fields, body = refused_head(dialect, status, message, request_id, after)
    else:
        body = f"{message}\n".encode()
        fields = [(b"content-type", b"text/plain; charset=utf-8")]
        if after is not None:
            fields.append((b"retry-after", b"%d" % after))
    phrase = http.HTTPStatus(status).phrase
    lines = [
        f"HTTP/1.1 {status} {phrase}".encode("ascii"),
        b"content-length: %d" % len(body),
        b"connection: close" if close else b"connection: keep-alive",
        b"x-request-id: " + request_id.encode("ascii"),
        *(b"%s: %s" % pair for pair in (*fields, *date)),
    ]
    return b"\r\n".join([*lines, b"", b"" if bodiless else body])
