"""What of a captured request can be sent again: as a command, or from the playground."""

from __future__ import annotations

from typing import Final

from ...core.capture.json_path import REDACTED
from ...core.capture.redaction import is_credential
from ...core.capture.transcript import RequestLine

# Of the connection, made anew by every client, or of the first request alone: its id, its trace,
# the proxies that it came through.
_LEFT_OUT: Final = {
    *("host", "content-length", "connection", "keep-alive", "transfer-encoding", "te", "trailer"),
    *("upgrade", "expect", "accept-encoding", "proxy-connection", "forwarded", "user-agent"),
    *("traceparent", "tracestate", "x-request-id", "x-real-ip", "via", "origin", "referer"),
    *("x-gateway-replay-of",),
}
_BEGINNINGS: Final = ("x-forwarded-", "sec-", "x-stainless-retry", "cf-")


def is_whole(request: RequestLine) -> bool:
    """Say whether its body was kept whole, as text."""
    return not (request.truncated or request.body.withheld or request.body.encoding != "utf-8")


def sendable_headers(request: RequestLine) -> list[tuple[str, str]]:
    """Return its headers without credentials, and without what belongs to its connection."""
    return [
        (name, value)
        for name, value in request.headers
        if name.lower() not in _LEFT_OUT
        and not name.lower().startswith(_BEGINNINGS)
        and not is_credential(name)
        and REDACTED not in value
    ]
