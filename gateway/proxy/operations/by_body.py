"""Requests whose API their body tells: read, and then served as any of that API is.

What a path of several APIs is says `core/dialects/by_body/`.
"""

from __future__ import annotations

from ...core.dialects.by_body.body_dialect import BodyDialect
from ..clients.encoding import EncodingClient
from ..exchange import Exchange
from ..options import ClientOptions
from .chat import received, serve_chat
from .off_loop import beside


async def serve_by_body(exchange: Exchange, key: bytes | None, asked: ClientOptions) -> None:
    """Serve one request of a path of several APIs. Raises GatewayError, ClientGone, SendStalled."""
    path = exchange.dialect
    assert isinstance(path, BodyDialect)
    body = await received(exchange, key)
    found = await beside(exchange, len(body), lambda: path.asked(body))
    exchange.dialect = found.dialect
    exchange.record.operation = found.dialect.operation
    if found.headers:
        exchange.headers = {**exchange.headers, **found.headers}
    exchange.client = EncodingClient(exchange.client, found.encoding, exchange.record)
    await serve_chat(exchange, key, asked, found.body)
