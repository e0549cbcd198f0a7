"""How many tokens a prompt has: what a provider of the model says, or an estimate.

Claude Code asks two dozen times at once to show what its context is filled with, and estimates by
itself what it gets no answer to. So no caller should wait long: a provider is asked once, and if
it does not answer in time, refuses, or cannot count, the answer is an estimate that is marked so.
It costs nothing and counts against no limit, as at Anthropic (docs.anthropic.com, "Token
counting").
"""

from __future__ import annotations

from typing import Final

import msgspec
import trio

from ...config.snapshot import ServedModel
from ...core.dialects.base import DialectRequest
from ...core.limits.estimate import estimate_tokens
from ...core.records.record import EndReason
from ...core.routing.deployment import Deployment
from ...transport_errors import UpstreamFailure
from ..access import authorize, check_overrides
from ..attempts.own_keys import mask_of
from ..attempts.reading.body import read_up_to, readable
from ..exchange import Exchange
from .off_loop import beside

# Seconds for the provider: it only counts. Claude Code's own patience is longer.
PATIENCE: Final = 5.0
# The answer is one number.
_MOST_BYTES: Final = 64 * 1024
ESTIMATED: Final = (b"x-gateway-estimate", b"true")


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
    settlement.costs_nothing(cached=False, operation="count_tokens")
    body = await exchange.read_body()
    request = await beside(len(body), lambda: exchange.dialect.read_request(body))
    settlement.asked(request)
    model = authorize(snapshot, caller, request.model)
    await beside(len(body), lambda: check_overrides(snapshot, caller, model, request))

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
        await estimate(exchange, request)
        return
    await exchange.client.reply(200, exchange.dialect.answer_headers, counted)
    exchange.settlement.end(EndReason.COMPLETE)


async def estimate(exchange: Exchange, request: DialectRequest) -> None:
    """Answer with about how many tokens a prompt has, where no provider says it."""
    dialect = exchange.dialect
    exchange.settlement.costs_nothing(cached=False, operation="count_tokens")
    body = dialect.token_count(estimate_tokens(request.body, 0))
    await exchange.client.reply(200, (*dialect.answer_headers, ESTIMATED), body)
    exchange.settlement.end(EndReason.COMPLETE)


async def _counted(exchange: Exchange, request: DialectRequest, model: ServedModel) -> bytes | None:
    """Return the answer of the first provider of the model that counts; None if there is none."""
    for deployment, target in zip(model.deployments, model.targets, strict=True):
        if deployment.count_target is None or deployment.dialect is not exchange.dialect:
            continue
        if exchange.services.health.unavailable(target, trio.current_time()) is not None:
            continue
        try:
            return await _ask(exchange, request, deployment, deployment.count_target)
        except UpstreamFailure:
            return None
    return None


async def _ask(
    exchange: Exchange, request: DialectRequest, deployment: Deployment, target: bytes
) -> bytes | None:
    credential = deployment.credentials[0]
    call = deployment.call(
        request.body_for(deployment),
        exchange.request_id,
        stream=False,
        credential=credential,
        extra=deployment.forwarded(exchange.headers),
    )
    call = msgspec.structs.replace(call, target=target)
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
        _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    exchange.settlement.shows(deployment)
    return mask_of(call.headers).error(body)
