"""Keys and teams that are kept in the database: what one is, and who may call with it."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator

import msgspec

from ..callers import Caller, CallerMaker
from .tables import Team, TeamTerms, TokenTerms


class KeyState(enum.StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"  # until it is enabled again
    REVOKED = "revoked"  # for good


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """`digest` is the SHA-256 of its secret; times are Unix seconds.

    After a rotation the secret before, `previous`, is taken until `previous_until`. `version`
    counts the changes, from 1.
    """

    name: str
    digest: bytes
    terms: TokenTerms
    state: KeyState = KeyState.ACTIVE
    previous: bytes | None = None
    previous_until: float | None = None
    version: int = 1
    created: float = 0.0
    created_by: str | None = None
    changed: float = 0.0
    changed_by: str | None = None

    def callers(self, maker: CallerMaker) -> Iterator[Caller]:
        """Yield who calls with its secrets; nobody once it is revoked."""
        if self.state is KeyState.REVOKED:
            return
        blocked = self.state is KeyState.DISABLED
        caller = maker.caller(self.name, self.digest, self.terms, blocked=blocked)
        yield caller
        if self.previous is not None and self.previous_until is not None:
            expires = min(self.previous_until, _never_if_none(caller.expires))
            yield msgspec.structs.replace(caller, digest=self.previous, expires=expires)


class StoredTeam(msgspec.Struct, frozen=True, kw_only=True):
    """`version` is never given twice, also where a team is deleted and made again."""

    name: str
    terms: TeamTerms
    version: int
    created: float = 0.0
    created_by: str | None = None
    changed: float = 0.0
    changed_by: str | None = None

    @property
    def team(self) -> Team:
        """Return it as a table of the configuration would have it."""
        return Team(name=self.name, **msgspec.structs.asdict(self.terms))


def _never_if_none(expires: float | None) -> float:
    return math.inf if expires is None else expires
