"""The operations that providers are asked for, and what serves each."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from ..core.objects.families import ObjectPath, object_path
from ..core.wire.hops import HOP, chain_of, is_loop
from ..errors import GatewayError
from ..proxy.exchange import Exchange
from ..proxy.operations.by_body import serve_by_body
from ..proxy.operations.chat import serve_chat
from ..proxy.operations.count_tokens import serve_count
from ..proxy.operations.kept_answers import KeptAnswerCall, serve_kept_answer
from ..proxy.operations.media import serve_media
from ..proxy.operations.objects import ObjectCall, serve_objects
from ..proxy.operations.passthrough import PassthroughCall, serve_passthrough
from ..proxy.relayed.incoming import ReceivingClient
from .request import asked, without_key
from .requests.served_request import Message
from .routes import PASSTHROUGH_PREFIX, Operation

# The gateway answers the others itself.
CALLS: Final = frozenset(
    {
        *(Operation.CHAT, Operation.COUNT_TOKENS, Operation.KEPT_ANSWER),
        *(Operation.MEDIA, Operation.OBJECTS, Operation.PASSTHROUGH, Operation.BY_BODY),
    }
)


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
    client: ReceivingClient,
) -> Callable[[Exchange], Awaitable[None]]:
    """Return what serves a request of `client`; `argument` is the rest of its path."""
    work = _work_of(operation, argument, scope, key, headers, client)
    return unless_looping(work, scope, headers)


def unless_looping(
    work: Callable[[Exchange], Awaitable[None]], scope: Message, headers: dict[bytes, bytes]
) -> Callable[[Exchange], Awaitable[None]]:
    """Return what does `work`, unless the request has come from this gateway."""
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
    client: ReceivingClient,
) -> Callable[[Exchange], Awaitable[None]]:
    if operation is Operation.MEDIA:
        options = asked(headers)
        return lambda exchange: serve_media(exchange, key, options, client)
    if operation is Operation.OBJECTS:
        called = ObjectCall(scope["method"], _objects(argument), scope.get("query_string", b""))
        options = asked(headers)
        return lambda exchange: serve_objects(exchange, key, called, options, client)
    if operation is Operation.PASSTHROUGH:
        passed = _passthrough(argument, scope, headers)
        return lambda exchange: serve_passthrough(exchange, key, passed, client)
    if operation is Operation.COUNT_TOKENS:
        return lambda exchange: serve_count(exchange, key)
    if operation is Operation.KEPT_ANSWER:
        id, _, part = argument.partition("/")
        method, query = scope["method"], without_key(scope.get("query_string", b""))
        kept = KeptAnswerCall(method, id, part and f"/{part}", query)
        return lambda exchange: serve_kept_answer(exchange, key, kept)
    serve = serve_by_body if operation is Operation.BY_BODY else serve_chat
    return lambda exchange: serve(exchange, key, asked(headers))


_SLASHES: Final = re.compile(rb"/{2,}")


def _passthrough(argument: str, scope: Message, headers: dict[bytes, bytes]) -> PassthroughCall:
    """Return what is asked of a provider; its path is as it came, percent-encoded."""
    raw = _SLASHES.sub(b"/", scope["raw_path"]).partition(PASSTHROUGH_PREFIX.encode())[2]
    return PassthroughCall(
        method=scope["method"],
        provider=argument.partition("/")[0],
        path=raw.partition(b"/")[2],
        query=scope.get("query_string", b""),
        timeout=asked(headers).timeout,
    )


def _objects(path: str) -> ObjectPath:
    found = object_path(path)
    assert found is not None  # or it would have no such route
    return found
