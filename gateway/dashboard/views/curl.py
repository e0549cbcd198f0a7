"""A captured request as a command that sends it again."""

from __future__ import annotations

import shlex
from typing import Final

from ...core.capture.transcript import RequestLine

# Of the connection, made anew by every client, or taken out when it was kept.
_LEFT_OUT: Final = {
    *("authorization", "x-api-key", "api-key", "host", "content-length", "connection"),
    *("transfer-encoding", "accept-encoding", "user-agent", "traceparent", "tracestate"),
    *("x-request-id", "expect", "cookie"),
}


def as_curl(request: RequestLine, base: str) -> str | None:
    """Return the command, with `$GATEWAY_KEY` for the key; None if the body was not kept whole."""
    if request.truncated or request.body.withheld or request.body.encoding != "utf-8":
        return None
    parts = [f"curl -N {shlex.quote(base + request.target)}"]
    parts.append('-H "authorization: Bearer $GATEWAY_KEY"')
    parts += [
        f"-H {shlex.quote(f'{name}: {value}')}"
        for name, value in request.headers
        if name.lower() not in _LEFT_OUT
    ]
    parts.append(f"--data-binary {shlex.quote(request.body.text)}")
    return " \\\n  ".join(parts)
