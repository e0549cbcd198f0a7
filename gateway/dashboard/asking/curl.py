"""A captured request as a command that sends it again."""

from __future__ import annotations

import shlex

from ...core.capture.transcript import RequestLine
from .sendable import is_whole, sendable_headers


def as_curl(request: RequestLine, base: str) -> str | None:
    """Return the command, with `$GATEWAY_KEY` for the key; None if the body was not kept whole."""
    if not is_whole(request):
        return None
    headers = sendable_headers(request)
    if not any(name.lower() == "content-type" for name, _ in headers):
        # Else curl would say that it is a form.
        headers.append(("content-type", "application/json"))
    parts = [f"curl -N {shlex.quote(base + request.target)}"]
    parts.append('-H "authorization: Bearer $GATEWAY_KEY"')
    # Of a header without a value curl wants a semicolon: with a colon it leaves the header out.
    parts += [f"-H {shlex.quote(f'{name}: {value}' if value else f'{name};')}"
              for name, value in headers]  # fmt: skip
    # Unlike the other ways to give a body, this one never takes it for the name of a file.
    parts.append(f"--data-raw {shlex.quote(request.body.text)}")
    return " \\\n  ".join(parts)
