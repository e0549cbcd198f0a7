"""`/passthrough/{provider}/{path}`: anything that a provider has, as it comes, for keys that may.

Nothing is read but what says what it costs: neither the models that the key may use nor overrides
hold here, so that the permission is by provider, and none by default. The key's limits hold, and
the provider's.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from typing import Final
from urllib.parse import unquote_plus

import msgspec

from ...config.snapshot import Snapshot
from ...core.dialects.recognised.request import Recognised, recognised
from ...core.limits.estimate import ANSWER_TOKENS, estimate_tokens
from ...core.limits.ledger import Demand
from ...core.records.pricing import Prices, most_cost
from ...core.routing.call import Call
from ...core.routing.deployment import Credential, Deployment
from ...errors import InvalidRequest, PermissionDenied
from ...providers.direct import DirectProvider
from ..admission import admit
from ..clients.capturing import keep
from ..exchange import Exchange
from ..relayed.attempt import PassedCall
from ..relayed.incoming import IncomingBody, ReceivingClient
from ..relayed.single import direct_call, pass_on

# How much of a body is waited for before it is sent, in bytes: what is no longer goes on a
# connection that is open already, and its model and its prompt are known. Chats with a long history
# are that long.
HEAD: Final = 256 * 1024
_PATH: Final = re.compile(rb"[!$-;=@-\[\]_a-z~]*")
_QUERY: Final = re.compile(rb"[!$-~]*")
_VERSION: Final = re.compile(rb"v\d+[a-z0-9]*")
_METHOD: Final = re.compile(r"[A-Z]{1,32}")
# They would make a tunnel, or echo the credential that is put on.
_REFUSED_METHODS: Final = frozenset({"CONNECT", "TRACE", "TRACK"})


class PassthroughCall(msgspec.Struct, frozen=True):
    """What is asked of `provider`; `path` is percent-encoded, as it came."""

    method: str
    provider: str
    path: bytes
    query: bytes = b""
    timeout: float = math.inf


async def serve_passthrough(
    exchange: Exchange, key: bytes | None, asked: PassthroughCall, client: ReceivingClient
) -> None:
    """Serve one request. Raises GatewayError, ClientGone, SendStalled."""
    snapshot, settlement, services = exchange.snapshot, exchange.settlement, exchange.services
    services.traffic.overload.check(services.rng)
    caller = exchange.caller = services.traffic.refused.authenticate(
        snapshot, key, exchange.record.client
    )
    settlement.identify(caller)
    direct = permitted(exchange, asked.provider)
    base = direct.deployment.base_path
    target = target_of(base, asked.path) + query_without_key(asked.query, caller.digest)
    _check_method(asked.method)
    server = snapshot.server
    body = IncomingBody(client, server.max_upload_bytes, server.body_timeout)
    until = exchange.started + asked.timeout

    async def work() -> None:
        head = await body.head(HEAD)
        whole = body.whole
        await exchange.hold_body(len(head))
        found = recognised(head, exchange.headers.get(b"content-type", b"")) if whole else None
        deployment = direct.deployment
        if found is not None:
            settlement.asked(found)
            deployment = _priced(snapshot, deployment, found)
        name = "" if found is None else found.model
        shown = _shown(asked, caller.digest)
        keep(exchange, name, head if whole else None, key, method=asked.method, target=shown)
        demand = _demand(exchange, head, found, deployment.prices)

        def describe(credential: Credential) -> Call:
            return direct_call(exchange, direct, deployment, credential, asked.method, target)

        passed = PassedCall(
            deployment,
            direct.target,
            describe,
            body,
            held=head if whole else b"",
            source=None if whole else body,
            demand=demand,
            anything=True,
        )
        async with await admit(exchange, demand, until):
            await pass_on(exchange, passed, until)

    await exchange.cancel_on_disconnect(work, body)


def _shown(asked: PassthroughCall, digest: bytes) -> str:
    """Return what was asked for, as the debug log has it."""
    path = b"/passthrough/%b/%b" % (asked.provider.encode(), asked.path.lstrip(b"/"))
    return (path + query_without_key(asked.query, digest)).decode("latin-1")


def permitted(exchange: Exchange, provider: str) -> DirectProvider:
    """Return `provider` if the caller may ask it for anything. Raises PermissionDenied (403)."""
    snapshot = exchange.snapshot
    allowed = exchange.caller.passthrough | frozenset(snapshot.server.passthrough)
    if provider in allowed or "*" in allowed:
        found = snapshot.direct.get(provider)
        if found is not None:
            return found
    raise PermissionDenied(
        f"this key may not use /passthrough/{provider[:100]}; passthrough = [{provider[:100]!r}] of"
        " its token would allow it, if there is such a provider",
        code="passthrough_not_allowed",
    )


def target_of(base: bytes, path: bytes) -> bytes:
    """Return the target of a call for `path` below a provider's `base` path.

    A version that ends the base and begins the path stands there once: clients that are given the
    address of a passthrough add the version or not, as they are used to. Raises InvalidRequest.
    """
    path = path.lstrip(b"/")
    segments = [unquote_plus(each.decode("latin-1")) for each in path.split(b"/")]
    if not _PATH.fullmatch(path) or any(
        each in (".", "..") or "/.." in each or "\\" in each for each in segments
    ):
        raise InvalidRequest("the path of a passthrough must be one without '.' and '..' in it")
    before, _, last = base.rpartition(b"/")
    first, _, rest = path.partition(b"/")
    if _VERSION.fullmatch(last) and first == last:
        return b"%b/%b/%b" % (before, last, rest) if rest else b"%b/%b" % (before, last)
    return b"%b/%b" % (base, path)


def query_without_key(query: bytes, digest: bytes) -> bytes:
    """Return a query with its question mark, without what of it is the key with that `digest`."""
    if not query:
        return b""
    if not _QUERY.fullmatch(query):
        raise InvalidRequest("the query cannot be read")
    kept = [each for each in query.split(b"&") if not _is_key(each, digest)]
    return b"?" + b"&".join(kept) if kept else b""


def _is_key(pair: bytes, digest: bytes) -> bool:
    value = unquote_plus(pair.partition(b"=")[2].decode("latin-1"))
    return hmac.compare_digest(hashlib.sha256(value.encode("latin-1", "replace")).digest(), digest)


def _check_method(method: str) -> None:
    if not _METHOD.fullmatch(method) or method in _REFUSED_METHODS:
        raise InvalidRequest(f"the method {method[:32]} is not passed on")


def _priced(snapshot: Snapshot, deployment: Deployment, found: Recognised) -> Deployment:
    """Return `deployment` with the name and the prices of the model, where a route has them."""
    for model in snapshot.models.everything():
        for each in model.deployments:
            if each.provider == deployment.provider and each.model == found.model:
                return msgspec.structs.replace(deployment, model=each.model, prices=each.prices)
    return msgspec.structs.replace(deployment, model=found.model[:100])


def _demand(exchange: Exchange, head: bytes, found: Recognised | None, prices: Prices) -> Demand:
    """Return what the request will take; nothing is known of what has no model."""
    if found is None:
        return Demand()
    prompt = exchange.settlement.prompt = estimate_tokens(head, 0)
    return Demand(prompt, most_cost(prompt, found.answer_tokens or ANSWER_TOKENS, prices))
