"""Who may call, and for which model."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..config.callers import Caller
from ..config.snapshot import ServedModel, Snapshot
from ..core.dialects.base import DialectRequest
from ..core.records.shown_name import MAX_SHOWN, shortened
from ..core.wire.overrides import Overrides
from ..errors import (
    AuthenticationFailed,
    InvalidRequest,
    ModelNotFound,
    PermissionDenied,
    StoreUnavailable,
)

# Names stand in the paths of some APIs, where these lead elsewhere (RFC 3986 section 5.2.4), as
# they do for a server that decodes them once more.
_STEPS = re.compile(r"(?:^|[/\\])\.{1,2}(?=[/\\]|$)|%(?:2[ef]|5c|00)", re.IGNORECASE)
# Seconds. A database that was away at the start is asked again at least every 15.
_KEYS_RETRY = 5.0


def authenticate(snapshot: Snapshot, key: bytes | None, epoch: float) -> Caller:
    """Return who is calling with `key`.

    Raises AuthenticationFailed, which never echoes it, and StoreUnavailable while nobody can tell
    whose it is.
    """
    if snapshot.open:
        return snapshot.anyone
    if not key:
        if snapshot.keys_unknown and not snapshot.callers:
            raise _keys_unknown()
        raise AuthenticationFailed(
            "you did not provide an API key; send it as 'Authorization: Bearer KEY' "
            "or as 'x-api-key: KEY'; Google's clients send 'x-goog-api-key: KEY'"
        )
    caller = snapshot.authenticate(key)
    if caller is None:
        if snapshot.keys_unknown:
            raise _keys_unknown()
        raise AuthenticationFailed("incorrect API key provided")
    if caller.expires is not None and epoch >= caller.expires:
        if caller.blocked:
            raise AuthenticationFailed("this API key is disabled", code="disabled_api_key")
        raise AuthenticationFailed("this API key has expired", code="expired_api_key")
    return caller


def _keys_unknown() -> StoreUnavailable:
    return StoreUnavailable(
        "which keys there are in the database is not known yet", retry_after=_KEYS_RETRY
    )


def authorize(snapshot: Snapshot, caller: Caller, name: str) -> ServedModel:
    """Return the model `name`. Raises ModelNotFound (404) or PermissionDenied (403), as OpenAI."""
    if name not in snapshot.models and (len(name) > MAX_SHOWN or not name.isprintable()):
        # A family lets callers choose the name, which stands in headers, in logs and in memory.
        raise no_such_model(name)
    if not snapshot.models.knows(name):
        raise no_such_model(name)
    if name not in snapshot.models and name != name.strip():
        raise _blank_name(name)
    if name not in snapshot.models and _STEPS.search(name):
        raise InvalidRequest(
            f"the model {shortened(name)!r} must not have . or .. between slashes",
            code="invalid_model_name",
            param="model",
        )
    # Asked first: what a wildcard lets through is only made for who may use it.
    model = snapshot.models.get(name) if caller.may_use(name) else None
    if model is None:
        raise PermissionDenied(
            f"this key does not have access to the model {name!r}",
            code="model_not_found",
            param="model",
        )
    if name not in snapshot.models and any(
        each.model != each.model.strip() for each in model.deployments
    ):
        raise _blank_name(name)
    return model


def _blank_name(name: str) -> InvalidRequest:
    # Names stand in headers, where a blank at an end belongs to no value (RFC 9110 section 5.5).
    return InvalidRequest(
        f"the model {shortened(name)!r} must not begin or end with a blank",
        code="invalid_model_name",
        param="model",
    )


def check_overrides(
    snapshot: Snapshot, caller: Caller, model: ServedModel, request: DialectRequest
) -> None:
    """Raise PermissionDenied (403) for what `caller` may not choose at a provider of `model`.

    The name of the model was checked; a member that a provider goes by instead would undo that.
    """
    checked: Overrides | None = None
    for deployment in model.deployments:
        rules = deployment.overrides
        if rules is checked:
            continue
        checked = rules
        for found in rules.find(request.members, request.body):
            if _may_choose(snapshot, caller, found.name):
                continue
            if found.models is None or not all(caller.may_use(each) for each in found.models):
                raise _not_to_choose(found.name, found.path)


def check_fields(
    snapshot: Snapshot, caller: Caller, model: ServedModel, names: Iterable[str]
) -> None:
    """Raise PermissionDenied (403) for the fields of a form that are such members."""
    names = tuple(names)
    for deployment in model.deployments:
        for name in names:
            if deployment.overrides.named(name) and not _may_choose(snapshot, caller, name):
                raise _not_to_choose(name, name)


def check_query(snapshot: Snapshot, caller: Caller, rules: Overrides, names: Iterable[str]) -> None:
    """Raise PermissionDenied (403) for the parameters of a query that are such members."""
    for name in names:
        if (name == "model" or rules.named(name)) and not _may_choose(snapshot, caller, name):
            raise _not_to_choose(name, name)


def _may_choose(snapshot: Snapshot, caller: Caller, name: str) -> bool:
    allowed = caller.overrides | frozenset(snapshot.server.overrides)
    return name in allowed or "*" in allowed


def _not_to_choose(name: str, path: str) -> PermissionDenied:
    shown = shortened(path.encode("utf-8", "backslashreplace").decode())
    return PermissionDenied(
        f"{shown} chooses a model, a route or a destination at the provider, which this key may"
        f" not; overrides = [{name!r}] of its token would allow it",
        code="override_not_allowed",
        param=shown,
    )


def no_such_model(name: str) -> ModelNotFound:
    """Return OpenAI's error, which does not say whether others have the model."""
    return ModelNotFound(
        f"the model {shortened(name)!r} does not exist or you do not have access to it",
        param="model",
    )


def visible(snapshot: Snapshot, caller: Caller) -> list[ServedModel]:
    """Return the models that `caller` may use, in the configuration's order.

    A name that ends in `*` is none that could be asked for. Of the models behind it those are
    known that the caller's token names.
    """
    found = [model for model in snapshot.models if caller.may_use(model.name)]
    listed = {model.name for model in found}
    named = [name for name in sorted(caller.models - listed) if not name.endswith("*")]
    return found + [model for name in named if (model := snapshot.models.get(name))]
