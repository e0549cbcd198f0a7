"""Who may call, and for which model."""

from __future__ import annotations

from ..config.callers import Caller
from ..config.snapshot import ServedModel, Snapshot
from ..core.records.shown_name import MAX_SHOWN, shortened
from ..errors import AuthenticationFailed, ModelNotFound, PermissionDenied, StoreUnavailable

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
            "or as 'x-api-key: KEY'"
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
    # Asked first: what a wildcard lets through is only made for who may use it.
    model = snapshot.models.get(name) if caller.may_use(name) else None
    if model is None:
        raise PermissionDenied(
            f"this key does not have access to the model {name!r}",
            code="model_not_found",
            param="model",
        )
    return model


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
