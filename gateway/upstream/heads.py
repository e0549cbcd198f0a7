"""Request heads out, response heads in: what is left to h11.

h11 checks and writes a request head in about 26 us, of which nothing differs from one call
to the next on the same deployment but the length of the body and a request id. So what h11
wrote is kept and those two are added: 3 us. It reads the response heads that come in pieces or in
a form of their own; the others are read by `core/wire/heads/plain_head.py`.
"""

from __future__ import annotations

import re
from typing import Final

import h11
import msgspec

from ..core.routing.call import BodySource, Call, Headers
from ..core.wire.heads.plain_head import plain_response
from ..transport_errors import ProtocolViolation

# Large enough for any provider; what is larger is an attack or a mistake.
MAX_HEAD: Final = 64 * 1024
# Servers send one `100` or a few `103`; an endless row of them would be a head without end.
MAX_INFORMATIONAL: Final = 16
# Bounds the memory for the heads kept. A deployment has one or two.
MAX_HEADS_KEPT: Final = 1024

# Headers with another value in each call: kept out of the key under which a head is found.
PER_CALL: Final = frozenset(
    {
        b"baggage",
        b"idempotency-key",
        b"traceparent",
        b"tracestate",
        b"x-client-request-id",
        b"x-request-id",
    }
)
# The transport decides these: a second opinion would be request smuggling.
RESERVED: Final = frozenset(
    {b"content-length", b"expect", b"host", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
# The same as h11's `field_value` (h11 `_abnf.py`), which a test holds it to: no CR, LF or NUL.
_FIELD_VALUE: Final = re.compile(rb"(?:[^\x00\s]+(?:[ \t]+[^\x00\s]+)*)?")
# For these a length of 0 is worth saying (RFC 9110 section 8.6).
_WITH_BODY: Final = frozenset({b"POST", b"PUT", b"PATCH"})


class RequestHeads:
    """Renders request heads, remembering the constant part of each."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, bytes, bytes, Headers], bytes] = {}

    def __repr__(self) -> str:
        # Never the heads: they hold API keys.
        return f"<RequestHeads {len(self._kept)} kept>"

    def render(self, call: Call, body: BodySource | None = None) -> bytes:
        """Return the head of `call`; raise ValueError if it can't be one.

        `body` is sent in place of the call's own.
        """
        if body is not None or call.unlike:
            return _write(call, call.headers) + _framing(call, body)
        stable = tuple([header for header in call.headers if header[0] not in PER_CALL])
        key = (call.origin, call.method, call.target, stable)
        head = self._kept.get(key)
        if head is None:
            head = _write(call, stable)
            if len(self._kept) >= MAX_HEADS_KEPT:
                # Something else varies in each call; nothing here is worth an order of use.
                self._kept.clear()
            self._kept[key] = head
        if len(stable) != len(call.headers):
            for name, value in call.headers:
                if name in PER_CALL:
                    if _FIELD_VALUE.fullmatch(value) is None:
                        raise ValueError(f"illegal value of the header {name!r}")
                    head += b"%b: %b\r\n" % (name, value)
        if call.body or call.method in _WITH_BODY:
            return b"%bcontent-length: %d\r\n\r\n" % (head, len(call.body))
        return head + b"\r\n"


def _framing(call: Call, body: BodySource | None) -> bytes:
    """Return the rest of a head: how long the body is, and the blank line."""
    length = len(call.body) if body is None else body.length
    if length is None:
        return b"transfer-encoding: chunked\r\n\r\n"
    if length or body is not None or call.method in _WITH_BODY:
        return b"content-length: %d\r\n\r\n" % length
    return b"\r\n"


def _write(call: Call, headers: Headers) -> bytes:
    """Return a head as h11 writes it, without the blank line at its end."""
    names = {name.lower() for name, _ in headers}
    if refused := names & RESERVED:
        raise ValueError(f"the headers {sorted(refused)} are not the caller's to set")
    items = [(b"host", call.origin.authority), *headers]
    if b"accept-encoding" not in names:
        # Without it any coding is acceptable (RFC 9110 section 12.5.3), and bytes that we
        # can't read can't be relayed as events.
        items.append((b"accept-encoding", b"identity"))
    try:
        request = h11.Request(method=call.method, target=call.target, headers=items)
        written = h11.Connection(h11.CLIENT).send(request)
    except h11.LocalProtocolError:
        # Not `from exc`: its text quotes the value at fault, which may be a credential.
        raise ValueError("the method, the target or a header of a call is illegal") from None
    return written[:-2]


class ResponseHead(msgspec.Struct, frozen=True):
    """`headers` have lower-case names; `rest` is what followed the head in the same bytes."""

    status: int
    http_version: bytes
    headers: list[tuple[bytes, bytes]]
    rest: bytes


# h11 takes an informational response only in answer to a request, any request.
_SOME_REQUEST: Final = h11.Request(method="GET", target="/", headers=[("host", "x")])


class HeadReader:
    """Reads one response head, skipping the informational ones before it."""

    def __init__(self) -> None:
        # Whether any byte of an answer has arrived.
        self.started = False
        self._parser: h11.Connection | None = None
        self._informational = 0

    def feed(self, data: bytes) -> ResponseHead | None:
        """Return the head once it is whole; raise `ProtocolViolation`."""
        self.started = True
        parser = self._parser
        if parser is None:
            if plain := plain_response(data):
                return ResponseHead(plain.status, b"1.1", plain.headers, data[plain.end :])
            parser = self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
            # A final response is also taken unasked (h11's state machine has it so for early
            # 4xx), which saves 5 us: "HTTP/1.1 2" rules out an informational one.
            if data[9:10] in (b"", b"1"):
                parser.send(_SOME_REQUEST)
        try:
            parser.receive_data(data)
            while True:
                event = parser.next_event()
                if event is h11.NEED_DATA:
                    return None
                if isinstance(event, h11.Response):
                    return ResponseHead(
                        event.status_code,
                        event.http_version,
                        [(name.lower(), value) for name, value in event.headers.raw_items()],
                        parser.trailing_data[0],
                    )
                self._informational += 1
                if self._informational > MAX_INFORMATIONAL:
                    raise ProtocolViolation("too many informational responses")
        except h11.RemoteProtocolError as exc:
            # h11 quotes the line at fault, which is as long as the peer likes.
            raise ProtocolViolation(f"not an HTTP response: {str(exc)[:200]}") from exc
