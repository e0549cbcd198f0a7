"""The objects that a request to a model names: whose they are, and where it must go for them.

An account at a provider has the objects of all callers, so that a provider would take any id. One
that another key has made is not there for this one, as in `objects.py`; and what is made past the
gateway is there for keys that may ask that provider for anything. The request goes to the provider
that keeps what it names, with the key of that account.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ...config.snapshot import ServedModel
from ...core.dialects.base import DialectRequest
from ...core.objects.ids import MOST
from ...core.objects.named import may_name_objects, named_objects
from ...core.records.shown_name import shortened
from ...core.routing.deployment import Deployment
from ...errors import InvalidRequest, NotFound
from ..exchange import Exchange
from .off_loop import beside, beside_if_long


class PinnedModel(msgspec.Struct, frozen=True):
    """A model as a request is to be served by it; `home` is the state key of the deployment that
    has to, None: any of them."""

    model: ServedModel
    home: str | None


async def pinned(
    exchange: Exchange, request: DialectRequest, model: ServedModel, home: str | None = None
) -> PinnedModel:
    """Return how `request` for `model` is to be served, which goes on at `home` if that is given.

    Raises NotFound (404) for objects that are not the caller's, and InvalidRequest (400) where no
    deployment could have all of them.
    """
    body = request.body
    names = (each.key for each in request.members)
    if not await beside(exchange, len(body), lambda: may_name_objects(body, names)):
        return PinnedModel(model, home)
    ids = await beside_if_long(exchange, body, lambda: named_objects(body))
    if not ids:
        return PinnedModel(model, home)
    if len(ids) > MOST:
        raise InvalidRequest("the body names too many objects")
    known = {each.id: each for each in await exchange.services.objects.find(ids)}
    caller, server = exchange.caller, exchange.snapshot.server
    allowed = caller.passthrough | frozenset(server.passthrough)
    everywhere = exchange.snapshot.open or "*" in allowed
    places: set[tuple[str, str]] = set()
    for each in ids:
        kept = known.get(each)
        if kept is None:
            # Made past the gateway, if there is any.
            if not everywhere and not allowed.issuperset(_providers(model)):
                raise _not_found(each)
        elif kept.owner != caller.name:
            raise _not_found(each)
        else:
            places.add((kept.provider, kept.account))
    if not places:
        return PinnedModel(model, home)
    if len(places) > 1:
        raise InvalidRequest(
            "the request names objects in several accounts of providers", code="objects_apart"
        )
    return _at(model, *places.pop(), home)


def _providers(model: ServedModel) -> set[str]:
    return {each.provider for each in model.deployments}


def _at(model: ServedModel, provider: str, account: str, home: str | None) -> PinnedModel:
    """Return `model` with the deployment at `provider` alone, and of its keys that of `account`."""
    for number, each in enumerate(model.deployments):
        if each.provider == provider and home in (None, each.state_key):
            found = list(model.deployments)
            found[number] = _with_account(each, account)
            moved = msgspec.structs.replace(model, deployments=tuple(found))
            return PinnedModel(moved, each.state_key)
    raise InvalidRequest(
        f"the request names an object of another provider than those of {shortened(model.name)!r}",
        code="objects_apart",
        param="model",
    )


def _with_account(deployment: Deployment, account: str) -> Deployment:
    credential = deployment.credential(account)
    return msgspec.structs.replace(deployment, credentials=(credential,))


def elsewhere(served: PinnedModel, provider: str | None) -> InvalidRequest | None:
    """Return the error for a request that another provider than `provider` must serve."""
    if served.home is None or served.home.startswith(f"{provider}/"):
        return None
    return InvalidRequest(
        "the request names an object of another provider than that of this session",
        code="objects_apart",
    )


_MOST_SHOWN: Final = 100


def _not_found(id: str) -> NotFound:
    """Return the error, which does not say whether another caller has it."""
    return NotFound(f"No such object: {id[:_MOST_SHOWN]!r}")
