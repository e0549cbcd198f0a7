"""What a provider keeps of its answers: looked at, deleted, cancelled, by their ids.

No model is asked, so there is nothing to pay, to retry or to balance: the deployment that keeps an
answer is asked. Where that is not known here, after a restart or in another process, the providers
of the caller's models are asked in turn, each with each of its keys, and those that do not have it
say so at once. An answer that was made for another caller is not there.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import islice
from typing import Final
from urllib.parse import parse_qs

import msgspec
import trio

from ...config.snapshot import ServedModel
from ...core.dialects.keeping import is_own
from ...core.records.record import EndReason
from ...core.routing.balancing.homes import Home
from ...core.routing.call import Call
from ...core.routing.causes import Cause
from ...core.routing.deployment import Credential, Deployment
from ...core.wire.splice import InvalidJSON, splice
from ...errors import InvalidRequest, NotFound, ProvidersFailed, ProvidersTimedOut
from ...transport_errors import UpstreamFailure
from ..access import authorize, check_query
from ..attempts.answer_headers import provider_headers
from ..attempts.own_keys import mask_of
from ..attempts.reading.body import readable
from ..attempts.reading.whole import read_whole
from ..exchange import Exchange
from ..outcomes import BY_CAUSE, RawAnswer
from .own_responses import serve_own

# Seconds for all that are asked; it is only looked up.
PATIENCE: Final = 30.0
# Accounts that are asked for what is not known here.
MOST_ASKED: Final = 16

_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,256}")
_QUERY: Final = re.compile(rb"[!\"$-~]{0,2048}")
_NOT_FOUND: Final = 404


class KeptAnswerCall(msgspec.Struct, frozen=True):
    """What is asked of the answer `id`: `part` is "" or what follows the id in the path."""

    method: str
    id: str
    part: str = ""
    query: bytes = b""


async def serve_kept_answer(exchange: Exchange, key: bytes | None, asked: KeptAnswerCall) -> None:
    """Serve one request. Raises GatewayError, ClientGone, SendStalled."""
    snapshot, settlement, services = exchange.snapshot, exchange.settlement, exchange.services
    services.traffic.overload.check(services.rng)
    settlement.costs_nothing(cached=False)
    caller = exchange.caller = services.traffic.refused.authenticate(
        snapshot, key, exchange.record.client
    )
    settlement.identify(caller)
    _check(asked)
    if is_own(asked.id):
        await exchange.read_body()
        await serve_own(exchange, asked.id, asked.method, asked.part, asked.query)
        return
    home = services.homes.find(asked.id)
    if home is not None and home.caller != caller.digest:
        raise _not_found(asked)
    await exchange.read_body()
    model = None if home is None else authorize(snapshot, caller, home.model)
    accounts = _everyone(exchange) if home is None or model is None else _home(model, home)

    async def work() -> None:
        with trio.CancelScope(deadline=trio.current_time() + PATIENCE) as scope:
            exchange.cut_by(scope)
            await _ask_in_turn(exchange, asked, accounts, model)
        if scope.cancelled_caught and exchange.client.status is None:
            if exchange.out_of_time().cause in BY_CAUSE:
                raise exchange.stopped()
            raise ProvidersTimedOut(f"no provider answered within {PATIENCE:g} s")

    await exchange.cancel_on_disconnect(work)


Accounts = Iterator[tuple[Deployment, Credential]]


def _home(model: ServedModel, home: Home) -> Accounts:
    for deployment in model.deployments:
        if deployment.state_key == home.deployment:
            for credential in deployment.credentials:
                yield deployment, credential
            return


def _everyone(exchange: Exchange) -> Accounts:
    """Yield the accounts at providers behind the models that the caller may use, each once."""
    seen: set[tuple[str, str]] = set()
    for model in exchange.snapshot.models.everything():
        if not exchange.caller.may_use(model.name):
            continue
        for deployment in model.deployments:
            for credential in deployment.credentials:
                account = (deployment.provider, credential.id)
                if account not in seen and deployment.takes(exchange.dialect):
                    seen.add(account)
                    yield deployment, credential


async def _ask_in_turn(
    exchange: Exchange, asked: KeptAnswerCall, accounts: Accounts, model: ServedModel | None
) -> None:
    failed: list[str] = []
    for deployment, credential in islice(accounts, MOST_ASKED):
        try:
            answer = await _ask(exchange, asked, deployment, credential)
        except UpstreamFailure:
            failed.append(deployment.name)
            continue
        cause = deployment.refusals.of_status(answer.status)
        if answer.status == _NOT_FOUND:
            continue
        if cause not in (None, Cause.REJECTED):
            failed.append(f"{deployment.name} ({answer.status})")
            continue
        await _show(exchange, asked, deployment, answer, model)
        return
    if failed:
        raise ProvidersFailed(f"providers that may keep it failed: {'; '.join(failed)}")
    raise _not_found(asked)


async def _ask(
    exchange: Exchange, asked: KeptAnswerCall, deployment: Deployment, credential: Credential
) -> RawAnswer:
    named = parse_qs(asked.query.decode("ascii"), keep_blank_values=True)
    check_query(exchange.snapshot, exchange.caller, deployment.overrides, named)
    part = f"/{asked.id}{asked.part}".encode("ascii")
    query = b"?" + asked.query if asked.query else b""
    call = Call(
        origin=deployment.origin,
        method=asked.method.encode("ascii"),
        target=deployment.targets[exchange.dialect.name] + part + query,
        headers=(
            *(pair for pair in credential.plain_headers if pair[0] != b"content-type"),
            (b"x-client-request-id", exchange.request_id),
            *deployment.forwarded(exchange.headers),
        ),
        body=b"",
        connect_timeout=deployment.timeouts.connect,
    )
    if deployment.prepare is not None:
        call = await deployment.prepare(call, credential, time.time())
    response = readable(await exchange.services.upstream.request(call))
    try:
        limit = exchange.snapshot.server.max_response_bytes
        body = await read_whole(response, limit, deployment.timeouts.idle, None)
    finally:
        await response.aclose()
    if body is None:
        raise UpstreamFailure("the answer stalled")
    mask = mask_of(call.headers)
    return RawAnswer(response.status, mask.headers(response.headers), mask.error(body))


async def _show(
    exchange: Exchange,
    asked: KeptAnswerCall,
    deployment: Deployment,
    answer: RawAnswer,
    model: ServedModel | None,
) -> None:
    limited = exchange.caller.limited
    shown = provider_headers(deployment, answer.headers, limited=limited)
    headers = (*exchange.dialect.answer_headers, *shown)
    if deployment.refusals.of_status(answer.status) is not None:
        message = f"{answer.status} {deployment.dialect.read_error(answer.body)}"
        await exchange.relay_rejection(deployment, answer, message, headers)
        return
    exchange.settlement.shows(deployment)
    if asked.method == "DELETE":
        exchange.services.homes.forget(asked.id)
    body = answer.body if model is None else _renamed(answer.body, model.json_name)
    await exchange.client.reply(answer.status, headers, body)
    exchange.settlement.end(EndReason.COMPLETE)


def _renamed(body: bytes, name: bytes) -> bytes:
    try:
        return splice(body, replace={"model": name})
    except InvalidJSON:
        return body


def _check(asked: KeptAnswerCall) -> None:
    if not _ID.fullmatch(asked.id):
        raise _not_found(asked)
    if not _QUERY.fullmatch(asked.query):
        raise InvalidRequest("the query cannot be read")
    streamed = parse_qs(asked.query.decode("ascii")).get("stream", ["false"])[-1]
    if streamed.lower() not in ("false", "0", ""):
        raise InvalidRequest(
            "a response that is kept cannot be streamed here; ask for it without stream",
            param="stream",
            code="unsupported_operation",
        )


def _not_found(asked: KeptAnswerCall) -> NotFound:
    """Return the error in OpenAI's words, which does not say whether another caller has it."""
    return NotFound(f"Response with id {asked.id[:100]!r} not found.")
