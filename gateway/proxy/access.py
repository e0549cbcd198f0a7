"""Who may call, and for which model."""

from __future__ import annotations

from ..config.snapshot import ANYONE, Caller, ServedModel, Snapshot
from ..core.chat import shortened
from ..errors import AuthenticationFailed, ModelNotFound, PermissionDenied


def authenticate(snapshot: Snapshot, key: bytes | None) -> Caller:
    """Return who is calling with `key`. Raises AuthenticationFailed, which never echoes it."""
    if snapshot.open:
        return ANYONE
    if not key:
        raise AuthenticationFailed(
            "you did not provide an API key; send it as 'Authorization: Bearer KEY' "
            "or as 'x-api-key: KEY'"
        )
    caller = snapshot.authenticate(key)
    if caller is None:
        raise AuthenticationFailed("incorrect API key provided")
    return caller


def authorize(snapshot: Snapshot, caller: Caller, name: str) -> ServedModel:
    """Return the model `name`. Raises ModelNotFound (404) or PermissionDenied (403), as OpenAI."""
    model = snapshot.models.get(name)
    if model is None:
        raise no_such_model(name)
    if not caller.may_use(name):
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
    """Return the models that `caller` may use, in the configuration's order."""
    return [model for model in snapshot.models.values() if caller.may_use(model.name)]
