"""A call of a model from key and body to the pipeline, whatever it is asked for."""

from __future__ import annotations

from ...config.snapshot import ServedModel
from ...core.cache.answers import cache_control
from ...core.cache.key import cache_key
from ...core.dialects.base import DialectRequest
from ...core.dialects.translators import translatable
from ...core.limits.estimate import ANSWER_TOKENS, MOST_TOKENS, estimate_tokens
from ...core.limits.ledger import Demand
from ...core.records.pricing import most_cost
from ...core.records.record import COUNT_TOKENS, EndReason
from ...core.records.shown_name import shortened
from ...errors import AuthenticationFailed, InvalidRequest, UpstreamError
from ..access import authorize, check_overrides
from ..admission import admit
from ..attempts.pipeline import Pipeline
from ..cache.serve import CacheRequest, serve
from ..clients.capturing import keep
from ..exchange import Exchange
from ..options import ClientOptions, ServingOptions, sticky_key
from .count_tokens import count
from .homes import home_of
from .named_objects import pinned
from .off_loop import beside
from .own_responses import with_history
from .prompt_size import estimate

ASKED_NOTHING = ClientOptions()


async def received(exchange: Exchange, key: bytes | None) -> bytes:
    """Return the body of a request. Raises GatewayError, ClientGone.

    The key is checked before the body is read, so that nobody unknown can make the gateway
    hold 32 MiB.
    """
    services = exchange.services
    services.traffic.overload.check(services.rng)
    refused, address = services.traffic.refused, exchange.record.client
    caller = refused.authenticate(exchange.snapshot, key, address)
    if not exchange.signed:
        exchange.caller = caller
        exchange.settlement.identify(caller)
    try:
        body = await exchange.read_body()
    except AuthenticationFailed as exc:
        refused.refuse(exc, address)
    if exchange.signed:
        # Whoever knows the name of a pair could say it: only what has been read shows whose it is.
        exchange.caller = caller
        exchange.settlement.identify(caller)
    return body


async def serve_chat(
    exchange: Exchange,
    key: bytes | None,
    asked: ClientOptions = ASKED_NOTHING,
    body: bytes | None = None,
) -> None:
    """Serve one request in the dialect of `exchange`. Raises GatewayError, ClientGone, SendStalled.

    `body` is what was `received` already.
    """
    if body is None:
        body = await received(exchange, key)
    snapshot, settlement, services = exchange.snapshot, exchange.settlement, exchange.services
    caller = exchange.caller
    request = await beside(exchange, len(body), lambda: exchange.dialect.read_request(body))
    settlement.asked(request)
    model = authorize(snapshot, caller, request.model)
    await beside(exchange, len(body), lambda: check_overrides(snapshot, caller, model, request))
    taken = _is_taken(model, exchange)
    if exchange.record.operation == COUNT_TOKENS and not taken:
        await count(exchange, request, model)
        return
    _check_served(model, exchange)
    request = await with_history(exchange, request, taken=taken)
    served = await pinned(exchange, request, model, home_of(exchange, request.continues))
    model = served.model
    if services.captures is not None:
        keep(exchange, request.model, request.body, key)
    ttl = cache_control(asked.cache, model.cache, services.cache.store.policy.max_ttl)
    if request.once:
        ttl = None
    demand = _demand(exchange, request, model)
    options = ServingOptions(
        timeout=asked.timeout,
        single=asked.single or request.once,
        repeated=asked.repeated,
        sticky_key=sticky_key(model, request, caller, exchange.headers),
        demand=demand,
        home=served.home,
    )
    until = exchange.started + asked.timeout

    async def work() -> None:
        async with await admit(exchange, demand, until):
            await _answer(exchange, request, model, options, ttl, until)

    async def counting() -> None:
        try:
            await work()
        except UpstreamError:
            # Nobody whom it could have been asked of counts: the gateway says it by itself.
            settlement.reason = settlement.record.error = None
            await estimate(exchange, request, model)
        else:
            if settlement.reason is EndReason.COMPLETE:
                exchange.record.counted_by = "provider"

    counts = exchange.record.operation == COUNT_TOKENS
    await exchange.cancel_on_disconnect(counting if counts else work)


async def _answer(
    exchange: Exchange,
    request: DialectRequest,
    model: ServedModel,
    options: ServingOptions,
    ttl: float | None,
    until: float,
) -> None:
    """Answer from the cache or from a provider."""
    key = None if ttl is None else _cache_key(exchange, request, model)
    if ttl is None or key is None:
        await Pipeline(exchange, request, model, options).run()
        return

    async def work(on: Exchange) -> None:
        if on is exchange:
            await Pipeline(on, request, model, options).run()
            return
        # A flight is not one caller's: it has only the deadlines of the configuration.
        shared = ServingOptions(
            repeated=options.repeated,
            sticky_key=options.sticky_key,
            demand=options.demand,
            home=options.home,
        )
        await on.cancel_on_disconnect(Pipeline(on, request, model, shared).run)

    coalesce = model.cache is not None and model.cache.coalesce
    await serve(exchange, CacheRequest(key, ttl, coalesce), work, until)


def _is_taken(model: ServedModel, exchange: Exchange) -> bool:
    return any(each.takes(exchange.dialect) for each in model.deployments)


def _check_served(model: ServedModel, exchange: Exchange) -> None:
    """Raise InvalidRequest if no provider of `model` takes what is asked for."""
    dialect = exchange.dialect
    if not any(each.takes(dialect) or translatable(dialect, each) for each in model.deployments):
        raise InvalidRequest(
            f"no provider of the model {shortened(model.name)!r} serves {dialect.path}",
            param="model",
            code="unsupported_operation",
        )


def _cache_key(exchange: Exchange, request: DialectRequest, model: ServedModel) -> bytes | None:
    caller = exchange.caller
    dialect = exchange.dialect
    return cache_key(
        # The path may say what the body of other APIs does: whether it is a stream, and how framed.
        f"{dialect.name} {dialect.path}",
        caller.name,
        caller.digest,
        request.model,
        model.fingerprint + _forwarded(exchange, model),
        request.body,
    )


def _forwarded(exchange: Exchange, model: ServedModel) -> bytes:
    """Return what goes on of the caller's headers: other betas give other answers."""
    sent = {each.forwarded(exchange.headers) for each in model.deployments if each.from_callers}
    return repr(sorted(sent)).encode() if sent else b""


def _demand(exchange: Exchange, request: DialectRequest, model: ServedModel) -> Demand:
    """Return what the request will take, as far as limits count it.

    With a budget that is the most that it can cost on the dearest of its routes.
    """
    limited = exchange.caller.scopes or exchange.snapshot.provider_scopes or model.hedge
    if not limited or exchange.record.operation == COUNT_TOKENS:
        return _NOTHING
    prompt = exchange.settlement.prompt = estimate_tokens(request.body, 0)
    tokens = prompt + min(request.answer_tokens, MOST_TOKENS)
    if not any(scope.budget is not None for scope in exchange.caller.scopes):
        return Demand(tokens)
    answer = request.answer_tokens or ANSWER_TOKENS * request.answers
    # Of each attempt that loses a race the prompt is paid, too.
    prompts = prompt * (1 + (model.hedge.max_extra if model.hedge else 0))
    most = max((most_cost(prompts, answer, each.prices) for each in model.deployments), default=0)
    bounded = request.answer_tokens > 0 or not request.answers
    return Demand(tokens, min(most, MOST_COST), bounded=bounded)


_NOTHING = Demand()
# In nano-dollars: ten times the largest budget there can be, and still exact as a float.
MOST_COST = 10**19
