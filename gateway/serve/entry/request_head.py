"""What one head asks for, read by the quick way or by h11, and judged by the gate."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import unquote

import h11

from ...core.wire.heads.plain_head import HeaderPair, plain_request
from .. import gate
from ..gate import HeadRefusal

Scope = dict[str, Any]


class AskedRequest(NamedTuple):
    """`parser` reads the body's chunks; None if the body's length is known, or there is none."""

    method: bytes
    target: bytes
    http_version: bytes
    headers: list[HeaderPair]
    parser: h11.Connection | None


def read_request(head: bytes, max_bytes: int) -> AskedRequest | HeadRefusal:
    """Read `head`, which `gate.check_head` has let pass."""
    plain = plain_request(head)
    if plain is not None:
        asked = AskedRequest(plain.method, plain.target, b"1.1", plain.headers, None)
    else:
        # A parser for each request costs less than to recycle one.
        parser = h11.Connection(h11.SERVER, max_bytes)
        parser.receive_data(head)
        try:
            request = parser.next_event()
        except h11.RemoteProtocolError as error:
            return gate.unparsed(error)
        if not isinstance(request, h11.Request):
            raise TypeError(f"h11 made {request!r} of a whole head")
        headers = list(request.headers)
        asked = AskedRequest(request.method, request.target, request.http_version, headers, parser)
    refusal = gate.check_request(asked.method, asked.target, asked.http_version, asked.headers)
    return refusal or asked


def make_scope(asked: AskedRequest, base: Scope, state: Scope) -> Scope:
    """Return the ASGI scope of a request; `base` is what its connection's requests share."""
    path, _, query = asked.target.partition(b"?")
    plain = path.decode("ascii")
    return {
        **base,
        "http_version": asked.http_version.decode("ascii"),
        "method": asked.method.decode("ascii"),
        "path": unquote(plain) if "%" in plain else plain,
        "raw_path": path,
        "query_string": query,
        "headers": asked.headers,
        "state": state.copy(),
        "extensions": {},
    }
