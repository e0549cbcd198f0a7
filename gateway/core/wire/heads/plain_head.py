"""HTTP/1.1 heads in the form that nearly all have, read in three steps of C.

h11 reads a head line by line and makes events of it, in 70 us on each side of a request, an eighth
of all the time of a short one. Here one expression checks all lines of a head at once, and another
takes them apart. The form is a strict part of what h11 takes (`_abnf.py` there), so whatever is
read here is read the same by h11, as the tests hold. None means that a head is of another form,
not that it is wrong: it is left to h11, which also says what is wrong.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

HeaderPair = tuple[bytes, bytes]

_NAME: Final = rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]++"
# RFC 9110 section 5.5 without its control bytes. Possessive, so that no input is tried twice.
_VALUE: Final = rb"(?:[!-~\x80-\xff]++(?:[ \t]++[!-~\x80-\xff]++)*+)?+"
_FIELDS: Final = re.compile(rb"(?:%b:[ \t]*+%b[ \t]*+\r\n)*+\r\n" % (_NAME, _VALUE))
_FIELD: Final = re.compile(rb"(%b):[ \t]*+(%b)[ \t]*+\r\n" % (_NAME, _VALUE))
# Only paths, without a fragment (RFC 9112 section 3.2.1).
_REQUEST_LINE: Final = re.compile(rb"([A-Z]++) (/[!-\"$-~]*+) HTTP/1\.1\r\n")
# Not 1xx: an informational head is not the last one.
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 ([2-9][0-9]{2})(?: [\t -~\x80-\xff]*+)?+\r\n")
# No body has as many digits as h11 allows, which is 20.
_MAX_DIGITS: Final = 18


class PlainRequest(NamedTuple):
    """Header names are in lower case."""

    method: bytes
    target: bytes
    headers: list[HeaderPair]


class PlainResponse(NamedTuple):
    """Header names are in lower case; `end` is where the head ends in the bytes given."""

    status: int
    headers: list[HeaderPair]
    end: int


def plain_request(head: bytes) -> PlainRequest | None:
    """Return the request that `head` is; nothing may follow it.

    None also for a body in chunks and for one that waits to be asked for.
    """
    line = _REQUEST_LINE.match(head)
    if line is None:
        return None
    found = _fields(head, line.end())
    if found is None or found[1] != len(head):
        return None
    headers, _, names = found
    if names.count(b"host") != 1 or b"transfer-encoding" in names or b"expect" in names:
        return None
    return PlainRequest(line[1], line[2], headers)


def plain_response(data: bytes) -> PlainResponse | None:
    """Return the response whose head `data` begins with."""
    line = _STATUS_LINE.match(data)
    if line is None:
        return None
    found = _fields(data, line.end())
    if found is None:
        return None
    headers, end, names = found
    if b"transfer-encoding" in names and (
        names.count(b"transfer-encoding") > 1 or (b"transfer-encoding", b"chunked") not in headers
    ):
        return None
    return PlainResponse(int(line[1]), headers, end)


def _fields(data: bytes, start: int) -> tuple[list[HeaderPair], int, list[bytes]] | None:
    """Return the fields from `start` on, where their end is, and their names alone."""
    block = _FIELDS.match(data, start)
    if block is None:
        return None
    end = block.end()
    headers = [(name.lower(), value) for name, value in _FIELD.findall(data, start, end)]
    names = [name for name, _ in headers]
    if b"content-length" in names:
        length = headers[names.index(b"content-length")][1]
        if names.count(b"content-length") > 1 or len(length) > _MAX_DIGITS or not length.isdigit():
            return None
    return headers, end, names
