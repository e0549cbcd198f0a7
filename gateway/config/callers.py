"""Who may call: the owners of keys, and the limits of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from ..core.aws_signature import secret_of
from ..core.limits.ledger import Scope, ScopeLimits
from .keys.tables import Team, TeamTerms, TokenTerms
from .schema import Config

_HASH_PREFIX: Final = "sha256:"
# How the accounts of tokens and of teams begin.
OF_TOKEN: Final = "token:"  # noqa: S105  # how a scope begins
OF_TEAM: Final = "team:"


class Caller(msgspec.Struct, frozen=True):
    """Who a key belongs to. `digest` is the key's SHA-256, `expires` Unix time in seconds.

    `scopes` are all the limits that hold for its requests, its own first if it has any. A key that
    is `blocked` has expired, so that the check of a good one costs nothing more. `granted_to` names
    the operator to whom a secret was granted that stands for the key.
    """

    name: str
    digest: bytes
    models: frozenset[str]
    beginnings: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] = ()
    limited: bool = False
    expires: float | None = None
    team: str | None = None
    labels: dict[str, str] | None = None
    blocked: bool = False
    overrides: frozenset[str] = frozenset()
    passthrough: frozenset[str] = frozenset()
    granted_to: str | None = None

    @property
    def max_concurrent(self) -> int | None:
        """Return how many requests it may have at once, by its own limit."""
        return self.scopes[0].limits.max_concurrent if self.scopes else None

    def may_use(self, model: str) -> bool:
        return model in self.models or model.startswith(self.beginnings)


class AllCallers(NamedTuple):
    """Who may call, by the digests of their keys, by one configuration and what is stored.

    `generation` is that of the stored keys, None if there is none or it is not known. Those that
    are `hidden` count for nothing, since a file has the same name or key. `stored` are some names.
    """

    callers: Mapping[bytes, Caller]
    generation: int | None = None
    hidden: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()


# Every caller, when the configuration has no [[tokens]].
ANYONE = Caller(name="anonymous", digest=b"", models=frozenset(), beginnings=("",))


def callers_of(config: Config, teams: Iterable[Team] = ()) -> dict[bytes, Caller]:
    """Return who may call, by the digests of their keys; `teams` are those of the database.

    The one part that may take long, half a second for 10^5 tokens; it needs nothing that only
    the event loop's thread may touch.
    """
    maker = CallerMaker(config, teams)
    made = [maker.caller(each.name, key_digest(each.key), each) for each in config.tokens]
    callers = {caller.digest: caller for caller in made}
    for token, caller in zip(config.tokens, made, strict=True):
        if token.aws_access_key_id is not None:
            secret = secret_of(config.server.aws_secret, token.aws_access_key_id)
            digest = key_digest(secret)
            callers[digest] = msgspec.structs.replace(caller, digest=digest)
    return callers


def key_digest(key: str) -> bytes:
    """Return the SHA-256 of a configured key, which may be written as `sha256:HEX`."""
    if key.startswith(_HASH_PREFIX):
        return bytes.fromhex(key.removeprefix(_HASH_PREFIX))
    return hashlib.sha256(key.encode("latin-1")).digest()


def shared_scopes(config: Config) -> tuple[Scope, ...]:
    return scopes_of("global", config.limits.rpm, config.limits.tpm)


def scopes_of(key: str, rpm: int | None, tpm: int | None) -> tuple[Scope, ...]:
    return (Scope(key, ScopeLimits(rpm=rpm, tpm=tpm)),) if rpm or tpm else ()


def team_scopes(teams: Iterable[Team]) -> dict[str, Scope]:
    """Return the limits of the teams that have any, by name."""
    return {team.name: scope for team in teams for scope in _scopes(OF_TEAM, team.name, team)}


class CallerMaker:
    """Makes the callers of one configuration; those of a team share its limits.

    `teams` are those of the database. A team of the configuration counts before one of its name.
    """

    def __init__(self, config: Config, teams: Iterable[Team] = ()) -> None:
        self._shared = shared_scopes(config)
        known = {each.name: each for each in (*teams, *config.teams)}
        self._teams: Mapping[str, Scope] = team_scopes(known.values())

    def caller(
        self, name: str, digest: bytes, terms: TokenTerms, *, blocked: bool = False
    ) -> Caller:
        """Return who has the key of that digest."""
        team = None if terms.team is None else self._teams.get(terms.team)
        own = _scopes(OF_TOKEN, name, terms)
        scopes = (*own, *(() if team is None else (team,)), *self._shared)
        expires = terms.expires_at.timestamp() if terms.expires_at else None
        return Caller(
            name=name,
            digest=digest,
            models=frozenset(terms.models),
            beginnings=tuple(model[:-1] for model in terms.models if model.endswith("*")),
            scopes=scopes,
            limited=bool(scopes),
            expires=0.0 if blocked else expires,
            team=terms.team,
            labels=terms.labels or None,
            blocked=blocked,
            overrides=frozenset(terms.overrides),
            passthrough=frozenset(terms.passthrough),
        )


def _scopes(kind: str, name: str, terms: TokenTerms | TeamTerms) -> tuple[Scope, ...]:
    limits = ScopeLimits(rpm=terms.rpm, tpm=terms.tpm, max_concurrent=terms.max_concurrent)
    if limits == ScopeLimits() and terms.budget is None:
        return ()
    return (Scope(f"{kind}{name}", limits, terms.budget),)
