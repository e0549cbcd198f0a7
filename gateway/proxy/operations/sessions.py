"""Sessions over WebSocket: who may open one, with which model, and what may be said in it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import trio

from ...config.snapshot import ServedModel, Snapshot
from ...core.dialects.base import DialectRequest
from ...core.dialects.sessions.base import CallerMessage, SessionDialect, SessionOpening
from ...core.limits.estimate import MOST_TOKENS, estimate_tokens
from ...core.limits.ledger import Demand
from ...core.records.shown_name import shortened
from ...core.wire.binary.socket_frames import SocketClose
from ...errors import (
    BodyTimeout,
    ClientGone,
    GatewayError,
    InvalidRequest,
    PermissionDenied,
    UpgradeRequired,
)
from ...stops import RunningScope
from ..access import authorize, check_overrides
from ..admission import admit
from ..clients.capturing import begun
from ..exchange import Exchange
from ..options import ClientOptions, ServingOptions
from ..sessions.attempt import SessionTerms
from ..sessions.messages import next_message
from ..sessions.notes import SessionNotes
from ..sessions.routed import RoutedSession
from ..sessions.sockets import CallerSocket
from ..sessions.turns import SessionTurns
from ..traffic.body_memory import BodyHold
from .homes import home_of
from .named_objects import elsewhere, pinned

# By this a key of fewer models may have what is said written down by any.
TRANSCRIPTION = "transcription"


class SessionCall(msgspec.Struct, frozen=True):
    """An opening, with its query; `current` returns the configuration that is in use now."""

    dialect: SessionDialect
    opening: SessionOpening
    current: Callable[[], Snapshot | None]
    query: bytes = b""


class _Asked(msgspec.Struct, frozen=True):
    """What a record says of a session."""

    model: str
    stream: bool = True
    user: str | None = None


async def serve_session(
    exchange: Exchange,
    key: bytes | None,
    called: SessionCall,
    asked: ClientOptions,
    socket: CallerSocket,
) -> None:
    """Serve one session. Raises GatewayError, ClientGone, SendStalled.

    Until a provider has spoken, errors are answers to the opening, unless the caller had to be
    let in to name its model.
    """
    snapshot, settlement, services = exchange.snapshot, exchange.settlement, exchange.services
    services.traffic.overload.check(services.rng)
    caller = exchange.caller = services.traffic.refused.authenticate(
        snapshot, key, exchange.record.client
    )
    settlement.identify(caller)

    # The first message may have to be sent again; of the others there is one at a time.
    first_hold, later = _hold(exchange), _hold(exchange)

    async def work() -> None:
        first: str | None = None
        request: DialectRequest | None = None
        name = called.opening.model
        if called.dialect.model_comes_first:
            _check_any(exchange, called.dialect)
            exchange.record.stream = True
            socket.hold_by(first_hold)
            await socket.accept(called.opening.chosen, [])
            first, request = await _first_request(exchange, called.dialect, socket)
            name = request.model
        socket.hold_by(later)
        if not name:
            raise InvalidRequest("you must name a model: ?model=NAME", param="model")
        settlement.asked(_Asked(name, user=None if request is None else request.user))
        model = authorize(snapshot, caller, name)
        if not any(each.takes(called.dialect) for each in model.deployments):
            raise _not_served(called.dialect, model)
        if request is not None:
            check_overrides(snapshot, caller, model, request)
        home = None
        if request is not None:
            served = await pinned(exchange, request, model, home_of(exchange, request.continues))
            model, home = served.model, served.home
        notes = _notes(exchange, key, called, first)
        demand = _demand(exchange, request)
        options = ServingOptions(
            timeout=asked.timeout,
            single=asked.single or (request is not None and request.once),
            repeated=asked.repeated,
            demand=demand,
            home=home,
        )
        turns = SessionTurns(exchange)
        if request is not None:
            await turns.begin(demand)
        terms = SessionTerms(
            socket,
            called.dialect,
            called.opening,
            name,
            key,
            _Check(exchange, model, turns),
            called.current,
            notes,
            called.query,
            first,
        )
        until = exchange.started + asked.timeout
        async with await admit(exchange, demand, until, lasting=True):
            try:
                await RoutedSession(exchange, model, options, terms).run()
            finally:
                await turns.end()

    try:
        await exchange.cancel_on_disconnect(work)
    finally:
        first_hold.release()
        later.release()


def _hold(exchange: Exchange) -> BodyHold:
    caller, services = exchange.caller, exchange.services
    return BodyHold(services.traffic.bodies, caller.name, services.rng, caller.max_concurrent)


async def _first_request(
    exchange: Exchange, dialect: SessionDialect, socket: CallerSocket
) -> tuple[str, DialectRequest]:
    """Return the message that names the model, as it came and as it was read."""
    server = exchange.snapshot.server
    with trio.CancelScope() as cut:
        exchange.cut_by(cut)
        with RunningScope(trio.current_time() + (server.session_idle_timeout or float("inf"))):
            found = await next_message(socket)
            if isinstance(found, SocketClose):
                # It has asked for nothing and is gone.
                raise ClientGone
            _, text = found
            if text is None:
                raise InvalidRequest("the first message must be an object of JSON")
            return text, dialect.read_request(text.encode())
        raise BodyTimeout(f"nothing was said for {server.session_idle_timeout:g} s")
    raise exchange.stopped()


def _check_any(exchange: Exchange, dialect: SessionDialect) -> None:
    """Raise UpgradeRequired (426) if none of the caller's models can be asked so.

    Clients send a POST then, where an error after the opening would make them open another.
    """
    for model in exchange.snapshot.models.everything():
        if exchange.caller.may_use(model.name) and any(
            each.takes(dialect) for each in model.deployments
        ):
            return
    raise _not_served(dialect, None)


def _not_served(dialect: SessionDialect, model: ServedModel | None) -> GatewayError:
    if dialect.model_comes_first:
        return UpgradeRequired(f"{dialect.path} is not served over a WebSocket here; send a POST")
    name = "" if model is None else shortened(model.name)
    return InvalidRequest(
        f"no provider of the model {name!r} serves {dialect.path}",
        param="model",
        code="unsupported_operation",
    )


class _Check:
    """Says what is wrong with a message of the caller; see `sessions.relay.Check`."""

    def __init__(self, exchange: Exchange, model: ServedModel, turns: SessionTurns) -> None:
        self._exchange = exchange
        self._model = model
        self._turns = turns

    async def __call__(self, message: CallerMessage, text: str) -> GatewayError | None:
        exchange = self._exchange
        caller, snapshot = exchange.caller, exchange.snapshot
        allowed = caller.overrides | frozenset(snapshot.server.overrides)
        for name in message.models:
            if not caller.may_use(name) and not allowed & {"*", TRANSCRIPTION}:
                return PermissionDenied(
                    f"this key does not have access to the model {shortened(name)!r}",
                    code="model_not_found",
                    param="model",
                )
        if message.request is None:
            return None
        check_overrides(snapshot, caller, self._model, message.request)
        served = await pinned(exchange, message.request, self._model)
        if (apart := elsewhere(served, exchange.record.provider)) is not None:
            return apart
        return await self._turns.begin(_demand(exchange, message.request))


def _demand(exchange: Exchange, request: DialectRequest | None) -> Demand:
    """Return what is known of what will be taken: the prompt, if there is one."""
    if request is None or not exchange.caller.scopes:
        return Demand(bounded=False)
    tokens = estimate_tokens(request.body, 0) + min(request.answer_tokens, MOST_TOKENS)
    return Demand(tokens, bounded=False)


def _notes(
    exchange: Exchange, key: bytes | None, called: SessionCall, first: str | None
) -> SessionNotes:
    """Return what keeps the session for the debug log, if it is wanted there."""
    capture = begun(
        exchange,
        exchange.record.model or "",
        (first or "").encode(),
        key,
        method="GET",
        target=called.dialect.path,
    )
    exchange.settlement.capture = capture
    return SessionNotes(capture)
