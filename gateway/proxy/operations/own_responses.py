"""Responses that the gateway keeps itself: gone on from, looked at and deleted.

    with_history   a request that goes on from one gets its items before any provider is chosen
    serve_own      GET and DELETE of one, and its input items

The database may be away: then what goes on from a response is refused with 503, and an answer is
sent all the same, and not kept.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs

import msgspec
import trio

from ...core.dialects.base import DialectRequest
from ...core.dialects.keeping import (
    KeptResponse,
    ResponseKeeper,
    is_kept,
    items_page,
    prepared,
    referred,
    resolved,
)
from ...core.records.record import EndReason
from ...core.records.shown_name import shortened
from ...errors import InvalidRequest, NotFound, StoreUnavailable
from ..clients.keeping import PATIENCE, KeepingClient
from ..exchange import Exchange

_MOST_ITEMS: Final = 100
_ITEMS: Final = "/input_items"
_OK: Final = 200


async def with_history(
    exchange: Exchange, request: DialectRequest, *, taken: bool
) -> DialectRequest:
    """Return a request for a response that says itself what it goes on from.

    `taken` says that a provider takes the request as it comes, and may keep what is not found here.
    Raises InvalidRequest for what is not kept, and StoreUnavailable.
    """
    keeper = exchange.services.responses
    if keeper is None or not keeper.policy.store:
        return request
    request = prepared(request, keeper.policy)
    found: dict[str, KeptResponse] = {}
    for id in referred(request):
        kept = await _found(keeper, exchange, id)
        if kept is None:
            raise _no_previous(id)
        found[id] = kept
    if not found and not taken and (before := request.continues) and before.startswith("resp_"):
        raise _no_previous(before)
    if found:
        request = resolved(request, found)
    if is_kept(request):
        exchange.client = KeepingClient(exchange, keeper, request)
    return request


def _no_previous(id: str) -> InvalidRequest:
    """Return the error in OpenAI's words."""
    return InvalidRequest(
        f"Previous response with id {shortened(id)!r} not found.",
        code="previous_response_not_found",
        param="previous_response_id",
    )


async def _found(keeper: ResponseKeeper, exchange: Exchange, id: str) -> KeptResponse | None:
    with trio.move_on_after(PATIENCE):
        return await keeper.find(exchange.caller.digest, id)
    raise StoreUnavailable(f"the database gave no response within {PATIENCE:g} s")


async def serve_own(exchange: Exchange, id: str, method: str, part: str, query: bytes) -> None:
    """Serve a GET or DELETE of a response. Raises GatewayError, ClientGone, SendStalled."""
    keeper = exchange.services.responses
    if keeper is None or not keeper.policy.store:
        raise NotFound(
            f"Response with id {id[:100]!r} not found: [responses] store is not true, so that the "
            "gateway keeps none."
        )
    if part not in ("", _ITEMS):
        raise InvalidRequest(
            "only a response that is made in the background can be cancelled",
            code="unsupported_operation",
        )
    if method == "DELETE":
        body = await _deleted(keeper, exchange, id)
    else:
        kept = await _found(keeper, exchange, id)
        if kept is None:
            raise _not_found(id)
        body = kept.response if part == "" else _page(kept, query)
    await exchange.client.reply(_OK, exchange.dialect.answer_headers, body)
    exchange.settlement.end(EndReason.COMPLETE)


async def _deleted(keeper: ResponseKeeper, exchange: Exchange, id: str) -> bytes:
    with trio.move_on_after(PATIENCE):
        if not await keeper.forget(exchange.caller.digest, id):
            raise _not_found(id)
        return msgspec.json.encode({"id": id, "object": "response", "deleted": True})
    raise StoreUnavailable(f"the database did not answer within {PATIENCE:g} s")


def _not_found(id: str) -> NotFound:
    return NotFound(f"Response with id {id[:100]!r} not found.")


def _page(kept: KeptResponse, query: bytes) -> bytes:
    asked = parse_qs(query.decode("ascii", "replace"))
    limit = asked.get("limit", ["20"])[-1]
    if not limit.isdigit() or not 1 <= int(limit[:9]) <= _MOST_ITEMS:
        raise InvalidRequest(f"limit must be 1 to {_MOST_ITEMS}", param="limit")
    return items_page(
        kept,
        limit=int(limit),
        after=asked.get("after", [""])[-1],
        newest_first=asked.get("order", ["desc"])[-1] != "asc",
    )
