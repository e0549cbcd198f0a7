"""The operations that providers are asked for, and what serves each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from ..core.wire.hops import HOP, chain_of, is_loop
from ..errors import GatewayError
from ..proxy.exchange import Exchange
from ..proxy.operations.chat import serve_chat
from ..proxy.operations.count_tokens import serve_count
from ..proxy.operations.kept_answers import KeptAnswerCall, serve_kept_answer
from .client import Message
from .request import asked
from .routes import Operation

# The gateway answers the others itself.
CALLS: Final = frozenset({Operation.CHAT, Operation.COUNT_TOKENS, Operation.KEPT_ANSWER})


class LoopDetected(GatewayError):
    status = 508
    code = "loop_detected"
    should_retry = False


def work_of(
    operation: Operation,
    argument: str,
    scope: Message,
    key: bytes | None,
    headers: dict[bytes, bytes],
) -> Callable[[Exchange], Awaitable[None]]:
    """Return what serves a request; `argument` is the rest of its path."""
    work = _work_of(operation, argument, scope, key, headers)
    if HOP not in headers:
        return work
    # Those of all headers of that name; this is what goes on to providers.
    chain = headers[HOP] = chain_of(scope["headers"])

    async def unless_it_was_here(exchange: Exchange) -> None:
        if chain and is_loop(chain, exchange.services.instance):
            raise LoopDetected(
                "the request has been here before: the base_url of a provider leads back to this"
                " gateway, perhaps by way of others"
            )
        await work(exchange)

    return unless_it_was_here


def _work_of(
    operation: Operation,
    argument: str,
    scope: Message,
    key: bytes | None,
    headers: dict[bytes, bytes],
) -> Callable[[Exchange], Awaitable[None]]:
    if operation is Operation.COUNT_TOKENS:
        return lambda exchange: serve_count(exchange, key)
    if operation is Operation.KEPT_ANSWER:
        id, _, part = argument.partition("/")
        method, query = scope["method"], scope.get("query_string", b"")
        kept = KeptAnswerCall(method, id, part and f"/{part}", query)
        return lambda exchange: serve_kept_answer(exchange, key, kept)
    return lambda exchange: serve_chat(exchange, key, asked(headers))
