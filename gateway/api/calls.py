"""The operations that providers are asked for, and what serves each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from ..proxy.exchange import Exchange
from ..proxy.operations.chat import serve_chat
from ..proxy.operations.count_tokens import serve_count
from ..proxy.operations.kept_answers import KeptAnswerCall, serve_kept_answer
from .client import Message
from .request import asked
from .routes import Operation

# The gateway answers the others itself.
CALLS: Final = frozenset({Operation.CHAT, Operation.COUNT_TOKENS, Operation.KEPT_ANSWER})


def work_of(
    operation: Operation,
    argument: str,
    scope: Message,
    key: bytes | None,
    headers: dict[bytes, bytes],
) -> Callable[[Exchange], Awaitable[None]]:
    """Return what serves a request; `argument` is the rest of its path."""
    if operation is Operation.COUNT_TOKENS:
        return lambda exchange: serve_count(exchange, key)
    if operation is Operation.KEPT_ANSWER:
        id, _, part = argument.partition("/")
        method, query = scope["method"], scope.get("query_string", b"")
        kept = KeptAnswerCall(method, id, part and f"/{part}", query)
        return lambda exchange: serve_kept_answer(exchange, key, kept)
    return lambda exchange: serve_chat(exchange, key, asked(headers))
