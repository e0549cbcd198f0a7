"""Images, speech and recordings: a model's name is read and replaced, all else passed on.

A request is JSON, which is held, or a form with files, which is not (`relayed/form_body.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from ...config.snapshot import ServedModel
from ...core.dialects.base import DialectRequest
from ...core.dialects.recognised.units import unit_counter
from ...core.limits.estimate import estimate_tokens
from ...core.limits.ledger import Demand
from ...core.records.pricing import most_cost
from ...core.records.shown_name import shortened
from ...core.routing.call import BodySource
from ...core.routing.deployment import Deployment
from ...core.wire.form_data import boundary_of
from ...errors import InvalidRequest
from ..access import authorize, check_fields, check_overrides
from ..admission import admit
from ..clients.capturing import keep
from ..exchange import Exchange
from ..options import ClientOptions, ServingOptions, sticky_key
from ..relayed.form_body import FormBody
from ..relayed.incoming import IncomingBody, ReceivingClient
from ..relayed.routed import OutgoingBody, RoutedRelay
from ..relayed.spool import IN_MEMORY, Spool
from .named_objects import pinned
from .off_loop import beside

_FORM = b"multipart/form-data"


async def serve_media(
    exchange: Exchange, key: bytes | None, asked: ClientOptions, client: ReceivingClient
) -> None:
    """Serve one request in the dialect of `exchange`. Raises GatewayError, ClientGone, SendStalled.

    The key is checked before any of the body is read.
    """
    snapshot, services = exchange.snapshot, exchange.services
    services.traffic.overload.check(services.rng)
    caller = exchange.caller = services.traffic.refused.authenticate(
        snapshot, key, exchange.record.client
    )
    exchange.settlement.identify(caller)
    kind = exchange.headers.get(b"content-type", b"")
    if kind.lower().lstrip().startswith(_FORM):
        boundary = boundary_of(kind)
        if boundary is None:
            raise InvalidRequest("the content-type of a form must name its boundary")
        await _serve_form(exchange, key, asked, client, boundary)
    else:
        await _serve_json(exchange, key, asked, client)


async def _serve_json(
    exchange: Exchange, key: bytes | None, asked: ClientOptions, client: ReceivingClient
) -> None:
    body = await exchange.read_body()
    request = await beside(exchange, len(body), lambda: exchange.dialect.read_request(body))
    # All of the body is here: what is watched is only whether the caller leaves.
    incoming = IncomingBody(client, exchange.snapshot.server.max_body_bytes, 0.0)
    work = await _work(exchange, key, asked, incoming, request, HeldBody(request))
    await exchange.cancel_on_disconnect(work, incoming)


async def _serve_form(
    exchange: Exchange,
    key: bytes | None,
    asked: ClientOptions,
    client: ReceivingClient,
    boundary: bytes,
) -> None:
    server = exchange.snapshot.server
    incoming = IncomingBody(client, server.max_upload_bytes, server.body_timeout)
    spool = Spool()

    async def work() -> None:
        try:
            await exchange.hold_body(IN_MEMORY)
            form = FormBody(incoming, boundary, spool)
            await form.begin()
            # As the same request in JSON, for what becomes of one without a model.
            named = {} if form.model is None else {"model": form.model.value}
            request = exchange.dialect.read_request(msgspec.json.encode(named))
            answer = await _work(exchange, key, asked, incoming, request, SentForm(form))
            model = authorize(exchange.snapshot, exchange.caller, request.model)
            form.allow(lambda names: check_fields(exchange.snapshot, exchange.caller, model, names))
            await answer()
        finally:
            await spool.aclose()

    await exchange.cancel_on_disconnect(work, incoming)


async def _work(
    exchange: Exchange,
    key: bytes | None,
    asked: ClientOptions,
    incoming: IncomingBody,
    request: DialectRequest,
    body: OutgoingBody,
) -> Callable[[], Awaitable[None]]:
    """Return what answers `request`, once it is known to be allowed."""
    snapshot, caller, settlement = exchange.snapshot, exchange.caller, exchange.settlement
    settlement.asked(request)
    model = authorize(snapshot, caller, request.model)
    await beside(
        exchange, len(request.body), lambda: check_overrides(snapshot, caller, model, request)
    )
    if not any(each.takes(exchange.dialect) for each in model.deployments):
        raise InvalidRequest(
            f"no provider of the model {shortened(model.name)!r} serves {exchange.dialect.path}",
            param="model",
            code="unsupported_operation",
        )
    served = await pinned(exchange, request, model)
    keep(exchange, request.model, request.body if isinstance(body, HeldBody) else None, key)
    demand = _demand(exchange, request, model)
    units = partial(unit_counter, exchange.dialect.operation, request.body)
    options = ServingOptions(
        timeout=asked.timeout,
        single=asked.single,
        repeated=asked.repeated,
        sticky_key=sticky_key(model, request, caller, exchange.headers),
        demand=demand,
        home=served.home,
    )

    async def work() -> None:
        async with await admit(exchange, demand, exchange.started + asked.timeout):
            await RoutedRelay(exchange, served.model, options, incoming, body, units).run()

    return work


def _demand(exchange: Exchange, request: DialectRequest, model: ServedModel) -> Demand:
    """Return what the request will take as far as that is known: its prompt."""
    prompt = exchange.settlement.prompt = estimate_tokens(request.body, 0)
    most = max((most_cost(prompt, 0, each.prices) for each in model.deployments), default=0)
    return Demand(prompt, most, bounded=False)


class HeldBody:
    """A JSON body, which can be sent as often as need be."""

    live = False

    def __init__(self, request: DialectRequest) -> None:
        self._request = request

    @property
    def mark(self) -> bytes:
        return self._request.body

    def held_for(self, deployment: Deployment) -> bytes:
        return self._request.body_for(deployment)

    def source_for(self, deployment: Deployment) -> BodySource | None:
        return None


class SentForm:
    """A form, of which what comes after the model is sent as it comes in."""

    def __init__(self, form: FormBody) -> None:
        self._form = form

    @property
    def live(self) -> bool:
        return self._form.live

    @property
    def mark(self) -> bytes:
        return self._form.mark

    def held_for(self, deployment: Deployment) -> bytes:
        return b""

    def source_for(self, deployment: Deployment) -> BodySource | None:
        return self._form.source(deployment.model)
