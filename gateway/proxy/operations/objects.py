"""Files, batches, fine-tuning, vector stores, containers, skills: what providers keep for callers.

The provider that keeps an object is asked, with the key of the account that it is in. An object is
there for the key that made it alone, since the account has those of all: others get a 404, lists
leave theirs out, and what a request names must be the caller's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from ...config.snapshot import Snapshot
from ...core.dialects.recognised.batches import ended_usage, result_files
from ...core.dialects.recognised.kin import are_kin, below
from ...core.limits.ledger import Demand
from ...core.objects.families import ObjectPath
from ...core.objects.ids import decoded, ids_in, looks_like_id, read_whole, texts_in
from ...core.objects.kept import KeptObject
from ...core.records.pricing import FREE, Prices
from ...core.routing.call import Call
from ...core.routing.deployment import Credential
from ...errors import BodyTooLarge, InvalidRequest, NotFound, PermissionDenied
from ...providers.direct import DirectProvider
from ..admission import admit
from ..clients.capturing import keep
from ..exchange import Exchange
from ..options import ClientOptions
from ..protocols import UpstreamResponse
from ..relayed.attempt import PassedCall
from ..relayed.batch_cost import BatchCost
from ..relayed.held_answer import HeldAnswer, held
from ..relayed.incoming import IncomingBody, ReceivingClient
from ..relayed.single import direct_call, pass_on
from .object_lists import OwnedPage
from .passthrough import HEAD, query_without_key

PROVIDER: Final = b"x-gateway-provider"
_JSON: Final = b"application/json"
_FORM: Final = b"application/x-www-form-urlencoded"
_FORMS: Final = (b"multipart/form-data", _FORM)
# With the byte order mark, and UTF-16's and UTF-32's, which Python's servers read as well.
_BLANKS: Final = b" \t\r\n\xef\xbb\xbf\xff\xfe\x00"


class ObjectCall(msgspec.Struct, frozen=True):
    method: str
    path: ObjectPath
    query: bytes = b""


async def serve_objects(
    exchange: Exchange,
    key: bytes | None,
    called: ObjectCall,
    asked: ClientOptions,
    client: ReceivingClient,
) -> None:
    """Serve one request. Raises GatewayError, ClientGone, SendStalled."""
    snapshot, settlement, services = exchange.snapshot, exchange.settlement, exchange.services
    services.traffic.overload.check(services.rng)
    caller = exchange.caller = services.traffic.refused.authenticate(
        snapshot, key, exchange.record.client
    )
    settlement.identify(caller)
    server = snapshot.server
    body = IncomingBody(client, server.max_upload_bytes, server.body_timeout)
    until = exchange.started + asked.timeout

    async def work() -> None:
        head = await body.head(HEAD)
        whole = body.whole
        await exchange.hold_body(len(head))
        named = await _named(exchange, called, head, whole=whole)
        direct, account = _place(exchange, called, named)
        if called.path.names_models and called.method == "POST":
            _check_all_models(exchange, direct)
        query = query_without_key(called.query, caller.digest).decode("latin-1")
        shown = f"/v1{called.path.text}{query}"
        keep(exchange, "", head if whole else None, key, method=called.method, target=shown)
        passed = _passed(exchange, called, direct, (account, named), body, head if whole else None)
        async with await admit(exchange, passed.demand, until):
            await pass_on(exchange, passed, until)

    await exchange.cancel_on_disconnect(work, body)


async def _named(
    exchange: Exchange, called: ObjectCall, head: bytes, *, whole: bool
) -> list[KeptObject]:
    """Return the caller's objects that the request names, the one in its path first.

    Raises NotFound (404) for those that are not the caller's.
    """
    ids = [called.path.id] if called.path.id else []
    query = parse_qs(called.query.decode("latin-1"), keep_blank_values=True)
    texts = [*called.path.rest.split("/"), *(each for found in query.values() for each in found)]
    kind = exchange.headers.get(b"content-type", b"").lower()
    # Some servers read JSON in whatever is no form, above all where no type is said.
    may_be_json = kind.startswith(_JSON) or (
        not kind.startswith(_FORMS) and head.lstrip(_BLANKS).startswith((b"{", b"["))
    )
    if head and may_be_json and not whole and called.path.family != "messages/batches":
        # What it names could not be checked.
        raise BodyTooLarge(f"a JSON body for /v1/{called.path.family} has {HEAD} bytes at most")
    if head and may_be_json and whole:
        texts += _texts_in(head)
    elif kind.startswith(_FORM) and whole:
        fields = parse_qs(head.decode("latin-1"), keep_blank_values=True)
        texts += [each for values in fields.values() for each in values]
    others = [each for each in dict.fromkeys(texts) if each and each not in ids]
    known = {each.id: each for each in await exchange.services.objects.find([*ids, *others])}
    for each in ids:
        if each not in known or known[each].owner != exchange.caller.name:
            raise _not_found(each)
    for each in others:
        owner = known[each].owner if each in known else None
        inside = each in called.path.rest.split("/")
        if owner != exchange.caller.name and (
            owner is not None or (looks_like_id(each) and not inside)
        ):
            raise _not_found(each)
    return [known[each] for each in (*ids, *others) if each in known]


def _texts_in(body: bytes) -> list[str]:
    try:
        found = texts_in(read_whole(body))
    except ValueError as exc:
        # What is not understood here may be understood by the provider.
        raise InvalidRequest(f"the body cannot be read: {exc}", code="invalid_json") from exc
    if found is None:
        raise InvalidRequest("the body names too many objects")
    return found


def _not_found(id: str) -> NotFound:
    """Return the error, which does not say whether another caller has it."""
    return NotFound(f"No such object: {id[:100]!r}")


def _place(
    exchange: Exchange, called: ObjectCall, named: list[KeptObject]
) -> tuple[DirectProvider, str | None]:
    """Return the provider to ask, and the account in which the objects are; None: whichever."""
    places = {(each.provider, each.account) for each in named}
    if len(places) > 1:
        raise InvalidRequest("the request names objects in several accounts of providers")
    if places:
        ((name, account),) = places
        found = exchange.snapshot.direct.get(name)
        if found is None:
            raise NotFound(f"the provider {name!r}, which keeps it, is not there any more")
        return found, account
    allowed = dict(_providers(exchange))
    wanted = exchange.headers.get(PROVIDER, b"").decode("latin-1")
    if wanted and wanted not in allowed:
        raise PermissionDenied(
            f"this key has no model of a provider {wanted[:100]!r} with /v1/{called.path.family}",
            code="provider_not_allowed",
        )
    if not allowed:
        raise InvalidRequest(
            f"no provider of this key's models has /v1/{called.path.family}",
            code="unsupported_operation",
        )
    if not wanted and len(allowed) > 1:
        raise InvalidRequest(
            f"which provider is meant? Send the header {PROVIDER.decode()} with one of:"
            f" {', '.join(allowed)}",
            code="provider_not_named",
        )
    return allowed[wanted or next(iter(allowed))], None


def _check_all_models(exchange: Exchange, direct: DirectProvider) -> None:
    """Raise PermissionDenied unless the caller may use whatever model such a request names."""
    passthrough = exchange.caller.passthrough | frozenset(exchange.snapshot.server.passthrough)
    every = "" in exchange.caller.beginnings
    if not every and not {"*", direct.deployment.provider} & passthrough:
        raise PermissionDenied(
            "the models of such a request are not read, so that only a key that may use all"
            ' models can make it: models = ["*"] of its token',
            code="all_models_needed",
        )


def _providers(exchange: Exchange) -> Iterator[tuple[str, DirectProvider]]:
    """Yield the providers of the caller's models that speak its dialect, by name."""
    seen: set[str] = set()
    for model in exchange.snapshot.models.everything():
        if not exchange.caller.may_use(model.name):
            continue
        for each in model.deployments:
            if each.provider in seen:
                continue
            seen.add(each.provider)
            found = exchange.snapshot.direct.get(each.provider)
            if found is not None and are_kin(found.deployment.dialect, exchange.dialect):
                yield each.provider, found


def _passed(
    exchange: Exchange,
    called: ObjectCall,
    direct: DirectProvider,
    place: tuple[str | None, list[KeptObject]],
    body: IncomingBody,
    whole: bytes | None,
) -> PassedCall:
    deployment, (account, named) = direct.deployment, place
    batch = _batch(exchange, called, named, deployment.provider)
    if called.method != "POST" or called.path.makes_nothing:
        deployment = msgspec.structs.replace(deployment, prices=FREE)
    path = called.path.text.encode("ascii")
    target = below(deployment.dialect, deployment.base_path, path)
    target += query_without_key(called.query, exchange.caller.digest)
    used: list[Credential] = []

    def describe(credential: Credential) -> Call:
        if account is not None:
            credential = deployment.credential(account)
        used.append(credential)
        return direct_call(exchange, direct, deployment, credential, called.method, target)

    return PassedCall(
        deployment,
        direct.target,
        describe,
        body,
        held=whole or b"",
        source=body if whole is None else None,
        demand=Demand(),
        read=partial(_read, exchange, called, deployment.provider, used, batch),
        metered=False,
        batch=batch,
    )


def _batch(
    exchange: Exchange, called: ObjectCall, named: list[KeptObject], provider: str
) -> BatchCost | None:
    """Return what charges the batch whose end or whose results are asked for; None: neither is."""
    path = called.path
    if called.method != "GET" or not path.id:
        return None
    if path.is_result_file:
        id = named[0].part_of
    elif path.is_batch or path.is_result:
        id = path.id
    else:
        return None
    prices = partial(_batch_prices, exchange.snapshot, provider)
    return BatchCost(exchange, id, prices, results=not path.is_batch) if id else None


def _batch_prices(snapshot: Snapshot, provider: str, model: str) -> Prices:
    """Return the prices of a provider's model in batches: none where it is free anyway."""
    for served in snapshot.models.everything():
        for each in served.deployments:
            if each.provider == provider and each.model == model and each.prices.free:
                return each.prices
    return snapshot.direct.batch_prices(provider, model)


async def _read(
    exchange: Exchange,
    called: ObjectCall,
    provider: str,
    used: list[Credential],
    batch: BatchCost | None,
    call: Call,
    response: UpstreamResponse,
) -> UpstreamResponse:
    """Return the answer to pass on, once it is known what objects it speaks of."""
    kind = dict(response.headers).get(b"content-type", b"").lower()
    # Exactly: lines of JSON have names that begin so, and may be long.
    if kind.partition(b";")[0].strip() != _JSON or called.path.is_content:
        return response
    answer = await held(response)
    objects, account = exchange.services.objects, used[-1].id
    found: Any = decoded(answer.body)
    if not called.path.id and called.method == "GET":
        page = OwnedPage(exchange, call, called.query)
        return HeldAnswer(answer.status, answer.headers, await page.owned(answer.body))
    if called.method == "DELETE" and not called.path.rest:
        await objects.forget(called.path.id)
        return answer
    results = {id: str(found.get("id", "")) for id in result_files(found)}
    await objects.keep(
        KeptObject(id, exchange.caller.name, provider, account, results.get(id, ""))
        for id in ids_in(found)
    )
    if batch is not None and (ended := ended_usage(found)) is not None:
        batch.usage = ended
    return answer
