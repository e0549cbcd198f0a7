"""Who asks, and what they may do."""

from __future__ import annotations

import msgspec

from ...core.records.audit import ActorKind
from ..rights import Right, Role, highest_role, rights_of


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is open. `expires` is its end at the latest, in microseconds since 1970.

    `digest` is that of its token, and `csrf_token` what requests that change something must send.
    """

    digest: str
    user_id: str
    csrf_token: str
    created: int
    expires: int


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A key of `[[admins]]`, or a user with a session. `name` is what the audit log calls it."""

    name: str
    kind: ActorKind
    scopes: tuple[str, ...]
    session: SessionInfo | None = None

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}"

    @property
    def role(self) -> Role | None:
        """Return the highest role; None for a key that may only read metrics."""
        return highest_role(self.scopes)

    @property
    def rights(self) -> frozenset[Right]:
        return rights_of(self.scopes)

    @property
    def csrf_token(self) -> str | None:
        return None if self.session is None else self.session.csrf_token

    def may(self, right: Right) -> bool:
        return right in self.rights
