"""What requests run on: the configuration, resolved and immutable.

A request takes the snapshot once and keeps it to its end, so that a reload never changes a
request in mid-flight.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping

import msgspec

from ..core.routing.attempts import RetryPolicy
from ..core.routing.deployment import Deployment
from ..core.timeouts import Timeouts
from .schema import Config, Cors, Model, Provider, Route, Server, Token

Describe = Callable[[str, Provider, Route, Timeouts], Deployment]

_HASH_PREFIX = "sha256:"


class ServedModel(msgspec.Struct, frozen=True):
    """A name that clients may ask for. `json_name` is the name as JSON."""

    name: str
    json_name: bytes
    deployments: tuple[Deployment, ...]


class Caller(msgspec.Struct, frozen=True):
    """Who a key belongs to. `digest` is the key's SHA-256."""

    name: str
    digest: bytes
    models: frozenset[str]

    def may_use(self, model: str) -> bool:
        return "*" in self.models or model in self.models


# What everybody is when the configuration has no [[tokens]].
ANYONE = Caller(name="anonymous", digest=b"", models=frozenset({"*"}))


class Snapshot(msgspec.Struct, frozen=True):
    """`created` is Unix time in seconds, and the `created` of `/v1/models`."""

    models: Mapping[str, ServedModel]
    callers: Mapping[bytes, Caller]
    server: Server
    retry: RetryPolicy
    created: int
    cors: Cors = Cors()

    @property
    def open(self) -> bool:
        """Say whether anyone may call without a key."""
        return not self.callers

    def authenticate(self, key: bytes) -> Caller | None:
        """Return who `key` belongs to, in a time that tells nothing about the keys.

        The lookup is by digest, so what it takes depends on a hash that nobody can steer; the
        final comparison is constant-time all the same.
        """
        digest = hashlib.sha256(key).digest()
        caller = self.callers.get(digest, ANYONE)
        return caller if hmac.compare_digest(caller.digest, digest) else None


def take(config: Config, describe: Describe, created: int) -> Snapshot:
    """Resolve a checked `config`; `describe` makes a deployment of a route."""
    by_name = {model.name: model for model in config.models}
    return Snapshot(
        models={
            model.name: ServedModel(
                name=model.name,
                json_name=msgspec.json.encode(model.name),
                deployments=tuple(
                    describe(
                        route.provider, config.providers[route.provider], route, config.timeouts
                    )
                    for route in _routes(model, by_name)
                ),
            )
            for model in config.models
        },
        callers={caller.digest: caller for caller in map(_caller, config.tokens)},
        server=config.server,
        retry=config.retry,
        created=created,
        cors=config.cors,
    )


def _routes(model: Model, by_name: Mapping[str, Model]) -> tuple[Route, ...]:
    while model.alias is not None:
        model = by_name[model.alias]
    return model.routes


def key_digest(key: str) -> bytes:
    """Return the SHA-256 of a configured key, which may be written as `sha256:HEX`."""
    if key.startswith(_HASH_PREFIX):
        return bytes.fromhex(key.removeprefix(_HASH_PREFIX))
    return hashlib.sha256(key.encode("latin-1")).digest()


def _caller(token: Token) -> Caller:
    return Caller(name=token.name, digest=key_digest(token.key), models=frozenset(token.models))
