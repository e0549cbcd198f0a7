"""A captured request as a command that sends it again."""

from __future__ import annotations

import shlex

from ...core.capture.transcript import RequestLine
from .sendable import is_whole, sendable_headers


def as_curl(request: RequestLine, base: str) -> str | None:
    """Return the command, with `$GATEWAY_KEY` for the key; None if the body was not kept whole.

    Nor is there one for a session over a WebSocket, whose body is its first message.
    """
    body = request.body.text
    if not is_whole(request) or (request.method == "GET" and body):
        return None
    headers = sendable_headers(request)
    if body and not any(name.lower() == "content-type" for name, _ in headers):
        # Else curl would say that it is a form.
        headers.append(("content-type", "application/json"))
    # What has a body is a POST for curl, and what has none a GET.
    expected = "POST" if body else "GET"
    method = "" if request.method == expected else f"-X {shlex.quote(request.method)} "
    parts = [f"curl -N {method}{shlex.quote(base + request.target)}"]
    parts.append('-H "authorization: Bearer $GATEWAY_KEY"')
    # Of a header without a value curl wants a semicolon: with a colon it leaves the header out.
    parts += [f"-H {shlex.quote(f'{name}: {value}' if value else f'{name};')}"
              for name, value in headers]  # fmt: skip
    # Unlike the other ways to give a body, this one never takes it for the name of a file.
    if body:
        parts.append(f"--data-raw {shlex.quote(body)}")
    return " \\\n  ".join(parts)
