"""Who may call: the owners of keys, and the limits of each."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from ..core.limits.ledger import Scope, ScopeLimits
from .schema import Config, Token

_HASH_PREFIX: Final = "sha256:"


class Caller(msgspec.Struct, frozen=True):
    """Who a key belongs to. `digest` is the key's SHA-256, `expires` Unix time in seconds.

    `scopes` are all the limits that hold for its requests, its own first if it has any.
    """

    name: str
    digest: bytes
    models: frozenset[str]
    beginnings: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] = ()
    limited: bool = False
    expires: float | None = None

    def may_use(self, model: str) -> bool:
        return model in self.models or model.startswith(self.beginnings)


# Every caller, when the configuration has no [[tokens]].
ANYONE = Caller(name="anonymous", digest=b"", models=frozenset(), beginnings=("",))


def callers_of(config: Config) -> dict[bytes, Caller]:
    """Return who may call, by the digests of their keys.

    The one part that may take long, half a second for 10^5 tokens; it needs nothing that only
    the event loop's thread may touch.
    """
    shared = shared_scopes(config)
    return {caller.digest: caller for caller in (_caller(each, shared) for each in config.tokens)}


def key_digest(key: str) -> bytes:
    """Return the SHA-256 of a configured key, which may be written as `sha256:HEX`."""
    if key.startswith(_HASH_PREFIX):
        return bytes.fromhex(key.removeprefix(_HASH_PREFIX))
    return hashlib.sha256(key.encode("latin-1")).digest()


def shared_scopes(config: Config) -> tuple[Scope, ...]:
    return scopes_of("global", config.limits.rpm, config.limits.tpm)


def scopes_of(key: str, rpm: int | None, tpm: int | None) -> tuple[Scope, ...]:
    return (Scope(key, ScopeLimits(rpm=rpm, tpm=tpm)),) if rpm or tpm else ()


def _caller(token: Token, shared: tuple[Scope, ...]) -> Caller:
    limits = ScopeLimits(rpm=token.rpm, tpm=token.tpm, max_concurrent=token.max_concurrent)
    own: tuple[Scope, ...] = ()
    if limits != ScopeLimits() or token.budget is not None:
        own = (Scope(f"token:{token.name}", limits, token.budget),)
    return Caller(
        name=token.name,
        digest=key_digest(token.key),
        models=frozenset(token.models),
        beginnings=tuple(name[:-1] for name in token.models if name.endswith("*")),
        scopes=(*own, *shared),
        limited=bool(own or shared),
        expires=token.expires_at.timestamp() if token.expires_at else None,
    )
