"""A chat completion from key and body to the pipeline."""

from __future__ import annotations

from ..core.chat import parse_chat, shortened
from .access import authenticate, authorize
from .exchange import Exchange
from .pipeline import Pipeline


async def serve_chat(exchange: Exchange, key: bytes | None, patience: float | None = None) -> None:
    """Serve one `POST /v1/chat/completions`. Raises GatewayError, ClientGone, SendStalled.

    The key is checked before the body is read, so that nobody unknown can make the gateway
    hold 32 MiB.
    """
    snapshot, record = exchange.snapshot, exchange.record
    caller = authenticate(snapshot, key)
    record.token = caller.name
    request = parse_chat(await exchange.read_body())
    record.model, record.stream = shortened(request.model), request.stream
    record.user = None if request.user is None else shortened(request.user)
    model = authorize(snapshot, caller, request.model)
    pipeline = Pipeline(exchange, request, model, patience)
    await exchange.while_listening(pipeline.run)
