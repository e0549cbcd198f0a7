"""A call of a model from key and body to the pipeline, whatever it is asked for."""

from __future__ import annotations

from ...config.snapshot import ServedModel
from ...core.cache.answers import cache_control
from ...core.cache.key import cache_key
from ...core.capture.capture import CapturedRequest
from ...core.dialects.base import DialectRequest
from ...core.dialects.translators import translatable
from ...core.limits.estimate import ANSWER_TOKENS, MOST_TOKENS, estimate_tokens
from ...core.limits.ledger import Demand
from ...core.records.pricing import most_cost
from ...core.records.record import COUNT_TOKENS
from ...core.records.shown_name import shortened
from ...errors import InvalidRequest
from ..access import authorize, check_overrides
from ..admission import admit
from ..attempts.pipeline import Pipeline
from ..cache.serve import CacheRequest, serve
from ..capture import CaptureLog, CapturingClient
from ..exchange import Exchange
from ..options import ClientOptions, ServingOptions, sticky_key
from .count_tokens import estimate
from .off_loop import beside
from .own_responses import with_history

ASKED_NOTHING = ClientOptions()


async def serve_chat(
    exchange: Exchange, key: bytes | None, asked: ClientOptions = ASKED_NOTHING
) -> None:
    """Serve one request in the dialect of `exchange`. Raises GatewayError, ClientGone, SendStalled.

    The key is checked before the body is read, so that nobody unknown can make the gateway
    hold 32 MiB.
    """
    snapshot, settlement, services = exchange.snapshot, exchange.settlement, exchange.services
    services.traffic.overload.check(services.rng)
    caller = exchange.caller = services.traffic.refused.authenticate(
        snapshot, key, exchange.record.client
    )
    settlement.identify(caller)
    body = await exchange.read_body()
    request = await beside(len(body), lambda: exchange.dialect.read_request(body))
    settlement.asked(request)
    model = authorize(snapshot, caller, request.model)
    await beside(len(body), lambda: check_overrides(snapshot, caller, model, request))
    taken = _is_taken(model, exchange)
    if exchange.record.operation == COUNT_TOKENS and not taken:
        await estimate(exchange, request)
        return
    _check_served(model, exchange)
    request = await with_history(exchange, request, taken=taken)
    captures = services.captures
    if captures is not None and captures.selects(caller.name, request.model):
        _capture(exchange, captures, request, key)
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
        home=_home(exchange, request.continues),
    )
    until = exchange.started + asked.timeout

    async def work() -> None:
        async with await admit(exchange, demand, until):
            await _answer(exchange, request, model, options, ttl, until)

    await exchange.cancel_on_disconnect(work)


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


def _home(exchange: Exchange, id: str | None) -> str | None:
    """Return the state key of the deployment that keeps `id`, if that is known.

    Raises InvalidRequest, in OpenAI's words, for what is kept for another caller.
    """
    home = None if id is None else exchange.services.homes.find(id)
    if home is None:
        return None
    if home.caller != exchange.caller.digest:
        raise InvalidRequest(
            f"Previous response with id {shortened(id or '')!r} not found.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    return home.deployment


def _cache_key(exchange: Exchange, request: DialectRequest, model: ServedModel) -> bytes | None:
    caller = exchange.caller
    return cache_key(
        exchange.dialect.name,
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


def _capture(
    exchange: Exchange, captures: CaptureLog, request: DialectRequest, key: bytes | None
) -> None:
    """Keep the request and what is written to its caller for the debug log."""
    record = exchange.record
    capture = captures.begin(
        CapturedRequest(
            request_id=record.request_id,
            time=record.time,
            token=record.token,
            model=record.model,
            method="POST",
            target=exchange.dialect.path,
            headers=tuple(exchange.headers.items()),
            body=request.body,
            arrived=exchange.started,
            secrets=() if key is None else (key,),
            marks=exchange.dialect.stream_marks,
        )
    )
    if capture is None:
        return
    exchange.settlement.capture = capture
    exchange.client = CapturingClient(exchange.client, capture, exchange.dialect)


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
