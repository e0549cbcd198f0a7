"""A secret for some minutes that stands for a key, for an operator who does not know the key's.

It may do what the key may, counts in its limits and its budget, and ends with it: so it gives an
operator, who can make keys and edit them, no more than there was. The audit log says who got one,
and each request that is made with it says whom it was granted to. Only its hash is kept, so a
copy of the database is none of the grants.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Final, NamedTuple

from ..config.keys.stored import KeyState
from ..core.records.audit import AuditAction
from ..errors import Conflict, NotFound
from ..store.control import grants, stored_keys
from ..store.control.generations import GRANTS, Transaction, advance
from ..store.control.grants import KeyGrant
from .changes import Actor, AuditNote

# Seconds: as long as somebody tries something out, and too short to be passed on.
LASTS: Final = 600.0
# Of one person at once.
_MOST: Final = 20
# So that scanners for leaked secrets can tell it from other keys.
GRANT_PREFIX: Final = "sk-gw-grant-"
_BYTES: Final = 32


class NewGrant(NamedTuple):
    """What was made; `secret` is shown this once."""

    grant: KeyGrant
    secret: str
    note: AuditNote


def create(
    connection: Transaction, token: str, in_files: Callable[[str], bool], actor: Actor
) -> NewGrant:
    """Make a secret that stands for the key `token`. Raises NotFound and Conflict."""
    advance(connection, GRANTS)
    if not in_files(token):
        stored = stored_keys.find(connection, token)
        if stored is None or stored.state is KeyState.REVOKED:
            raise NotFound(f"there is no key {token!r}")
        if stored.state is not KeyState.ACTIVE:
            raise Conflict(f"the key {token!r} is disabled")
    if grants.count_of(connection, actor.name, actor.now) >= _MOST:
        raise Conflict(f"you have {_MOST} grants already; each ends after {LASTS:g} s.")
    secret = GRANT_PREFIX + secrets.token_urlsafe(_BYTES)
    grant = KeyGrant(
        digest=hashlib.sha256(secret.encode()).digest(),
        token=token,
        until=actor.now + LASTS,
        granted_to=actor.name,
    )
    grants.add(connection, grant, actor.now)
    note = AuditNote(AuditAction.KEY_GRANTED, token, {"for_s": LASTS})
    return NewGrant(grant, secret, note)
