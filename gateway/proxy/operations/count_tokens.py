"""How many tokens a prompt has: what a provider of the model says, or an estimate.

Claude Code asks two dozen times at once to show what its context is filled with, and estimates by
itself what it gets no answer to. So no caller should wait long: a provider is asked once, and if
it does not answer in time, refuses, or cannot count, the answer is an estimate that is marked so.
It costs nothing and counts against no limit, as at Anthropic (docs.anthropic.com, "Token
counting").
"""

from __future__ import annotations

from functools import partial
from typing import Final, NamedTuple

import msgspec
import trio

from ...config.snapshot import ServedModel
from ...core.dialects.base import DialectRequest
from ...core.dialects.counting.asked import count_body
from ...core.dialects.counting.counter import PromptCounter
from ...core.records.record import EndReason
from ...core.routing.deployment import Deployment
from ...transport_errors import UpstreamFailure
from ..access import authorize, check_overrides
from ..attempts.own_keys import mask_of
from ..attempts.reading.body import read_up_to, readable
from ..exchange import Exchange
from .named_objects import pinned
from .off_loop import beside, beside_if_long
from .prompt_size import estimate

# Seconds for the provider: it only counts. Claude Code's own patience is longer.
PATIENCE: Final = 5.0
# The answer is one number.
_MOST_BYTES: Final = 64 * 1024


class _Count(msgspec.Struct):
    input_tokens: int


_DECODER: Final = msgspec.json.Decoder(_Count)


async def serve_count(exchange: Exchange, key: bytes | None) -> None:
    """Serve one request for a count. Raises GatewayError, ClientGone, SendStalled."""
    snapshot, settlement, services = exchange.snapshot, exchange.settlement, exchange.services
    services.traffic.overload.check(services.rng)
    caller = exchange.caller = services.traffic.refused.authenticate(
        snapshot, key, exchange.record.client
    )
    settlement.identify(caller)
    body = await exchange.read_body()
    request = await beside(exchange, len(body), lambda: exchange.dialect.read_request(body))
    settlement.asked(request)
    model = authorize(snapshot, caller, request.model)
    await beside(exchange, len(body), lambda: check_overrides(snapshot, caller, model, request))
    served = await pinned(exchange, request, model)

    await count(exchange, request, served.model)


async def count(exchange: Exchange, request: DialectRequest, model: ServedModel) -> None:
    """Answer a request for a count that no provider takes as it is."""
    exchange.settlement.costs_nothing(cached=False, operation="count_tokens")

    async def work() -> None:
        with trio.CancelScope() as scope:
            exchange.cut_by(scope)
            await _answer(exchange, request, model)
        if scope.cancelled_caught and exchange.client.status is None:
            raise exchange.stopped()

    await exchange.cancel_on_disconnect(work)


async def _answer(exchange: Exchange, request: DialectRequest, model: ServedModel) -> None:
    counted: bytes | None = None
    with trio.move_on_after(PATIENCE):
        counted = await _counted(exchange, request, model)
    if counted is None:
        await estimate(exchange, request, model)
        return
    exchange.record.counted_by = "provider"
    await exchange.client.reply(200, exchange.dialect.answer_headers, counted)
    exchange.settlement.end(EndReason.COMPLETE)


async def _counted(exchange: Exchange, request: DialectRequest, model: ServedModel) -> bytes | None:
    """Return the answer of the first provider of the model that counts; None if there is none.

    A provider of the caller's API is asked as the caller has asked, and answers the caller; one of
    another API is asked about the same chat in its own.
    """
    for deployment, target in zip(model.deployments, model.targets, strict=True):
        call = await beside_if_long(
            exchange, request.body, partial(_call, exchange, request, deployment)
        )
        if call is None:
            continue
        if exchange.services.health.unavailable(target, trio.current_time()) is not None:
            continue
        try:
            return await _ask(exchange, deployment, call)
        except UpstreamFailure:
            return None
    return None


class _CountCall(NamedTuple):
    """`counter` is None where the answer is the caller's as it comes."""

    target: bytes
    body: bytes
    counter: PromptCounter | None


def _call(exchange: Exchange, request: DialectRequest, deployment: Deployment) -> _CountCall | None:
    """Return what a deployment is asked; None if it does not count, or not such a chat."""
    if deployment.count_target is not None and deployment.dialect is exchange.dialect:
        return _CountCall(deployment.count_target, request.body_for(deployment), None)
    if deployment.counter is None:
        return None
    body = count_body(request, exchange.dialect, deployment, exchange.record.time)
    counter = deployment.counter
    return None if body is None else _CountCall(counter.target, body, counter.api)


async def _ask(exchange: Exchange, deployment: Deployment, asked: _CountCall) -> bytes | None:
    credential = deployment.credentials[0]
    call = deployment.call(
        asked.body,
        exchange.request_id,
        stream=False,
        credential=credential,
        extra=deployment.forwarded(exchange.headers),
    )
    call = msgspec.structs.replace(call, target=asked.target)
    if deployment.prepare is not None:
        call = await deployment.prepare(call, credential, exchange.record.time)
    response = readable(await exchange.services.upstream.request(call))
    try:
        body = await read_up_to(response, _MOST_BYTES)
    finally:
        await response.aclose()
    if deployment.refusals.of_status(response.status) is not None:
        return None
    try:
        if asked.counter is None:
            _DECODER.decode(body)
            body = mask_of(call.headers).error(body)
        else:
            body = exchange.dialect.token_count(asked.counter.tokens(body))
    except (ValueError, RecursionError):
        # msgspec's errors are ValueErrors.
        return None
    exchange.settlement.shows(deployment)
    return body
