"""Which requests open a WebSocket, and what they offer."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from gateway.serve.cycle import RequestCycle
from gateway.serve.websocket.cycle import WebSocketCycle
from gateway.serve.websocket.opening import cycle_of, offered

ASKED = {
    b"host": b"x",
    b"upgrade": b"websocket",
    b"connection": b"keep-alive, Upgrade",
    b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ==",
    b"sec-websocket-version": b"13",
}


def test_what_is_offered() -> None:
    lists = (b"a, ,b c,\xff,d", b"e,a", b"", b"openai-insecure-api-key.sk-1_2")
    headers = [(b"sec-websocket-protocol", each) for each in lists]
    assert offered(headers) == ["a", "d", "e", "a", "openai-insecure-api-key.sk-1_2"]
    assert offered([(b"x", b"a")]) == []


@pytest.mark.parametrize(
    ("changes", "scope", "opens"),
    [
        ({}, {}, True),
        ({b"upgrade": b"WebSocket"}, {}, True),
        ({b"sec-websocket-protocol": b"\xff, a"}, {}, True),
        ({b"upgrade": b"h2c"}, {}, False),
        ({b"connection": b"close"}, {}, False),
        ({b"sec-websocket-version": b"12"}, {}, False),
        ({b"sec-websocket-version": b"\xff"}, {}, False),
        # A body would be taken for frames.
        ({b"content-length": b"5"}, {}, False),
        ({b"transfer-encoding": b"chunked"}, {}, False),
        ({}, {"method": "POST"}, False),
        ({}, {"http_version": "1.0"}, False),
        ({}, {"path": "/v1/chat/completions"}, False),
    ],
)
async def test_an_opening(changes: dict[bytes, bytes], scope: dict[str, Any], opens: bool) -> None:
    headers = [*{**ASKED, **changes}.items()]
    asked: dict[str, Any] = {
        "type": "http",
        "scheme": "https",
        "method": "GET",
        "http_version": "1.1",
        "path": "/v1/realtime",
        "headers": headers,
        "extensions": {},
        **scope,
    }
    head = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    stream: Any = None
    host: Any = None
    cycle = cycle_of(stream, host, None, asked, head, 1000)
    assert isinstance(cycle, WebSocketCycle if opens else RequestCycle)
    if isinstance(cycle, WebSocketCycle):
        assert (cycle.scope["type"], cycle.scope["scheme"]) == ("websocket", "wss")
        assert "method" not in cycle.scope
        assert await cycle.receive() == {"type": "websocket.connect"}
        await trio.lowlevel.checkpoint()
