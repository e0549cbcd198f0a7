"""Sign-in: the admin API takes the keys of `[[admins]]` and the sessions of users."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import trio

from ..config.snapshot import Snapshot
from ..core.records.audit import ActorKind, AuditAction, AuditEvent, AuditResult, shortened
from ..errors import AuthenticationFailed, PermissionDenied
from .accounts.failed_sign_ins import FailedSignIns
from .accounts.identity import Identity
from .accounts.sign_ins import SignIns
from .rights import ALL_SCOPES

# Every request has a key. An admin at an address gets one audit entry in so many seconds.
_AGAIN: Final = 3600.0
_REMEMBERED: Final = 1000


def key_identity(snapshot: Snapshot, key: bytes) -> Identity:
    """Return whose key it is. Raises AuthenticationFailed (401)."""
    name = snapshot.admin(key)
    if name is None:
        raise AuthenticationFailed("the admin API takes the keys of [[admins]] and no others")
    scopes = snapshot.admin_scopes.get(name, ALL_SCOPES)
    return Identity(name=name, kind=ActorKind.ADMIN, scopes=scopes)


class RecentlySeen:
    """What has an entry in the audit log that is recent enough to need no second one.

    Remembers `most` things for `seconds`, and forgets the oldest first.
    """

    def __init__(self, seconds: float, most: int = _REMEMBERED) -> None:
        self._seconds = seconds
        self._most = most
        self._until: dict[tuple[str, ...], float] = {}

    def is_new(self, *what: str) -> bool:
        """Say whether `what` has not been seen within the last `seconds`, and remember it."""
        now = trio.current_time()
        if self._until.get(what, now) > now:
            return False
        self._until.pop(what, None)
        if len(self._until) >= self._most:
            del self._until[next(iter(self._until))]
        self._until[what] = now + self._seconds
        return True


class Authenticator:
    """Finds out who asks, by key or by session, and puts accepted and refused keys on record.

    `sign_ins` knows the sessions; None where there can be no users.
    """

    def __init__(self, audit: Callable[[AuditEvent], None], sign_ins: SignIns | None) -> None:
        self._audit = audit
        self._sign_ins = sign_ins
        self._refusals = FailedSignIns()
        self._seen = RecentlySeen(_AGAIN)

    async def identify(
        self,
        snapshot: Snapshot,
        key: bytes | None,
        tokens: Sequence[str],
        ip: str | None,
        path: str,
    ) -> Identity:
        """Return whose key it is or, without a key, whose session.

        Raises AuthenticationFailed, PermissionDenied and StoreUnavailable.
        """
        if not snapshot.admins and self._sign_ins is None:
            raise PermissionDenied(
                "the admin API is off; add [[admins]] with a name and a key to the configuration"
            )
        if key is not None:
            return self._of_key(snapshot, key, ip, path)
        # A request without a key is no attempt to sign in, and has no audit entry.
        found = await self.visitor(tokens)
        if found is None:
            raise AuthenticationFailed(
                "the admin API takes the keys of [[admins]] and sessions of users"
            )
        return found

    async def visitor(self, tokens: Sequence[str]) -> Identity | None:
        """Return whose session it is; None if there is none."""
        return None if self._sign_ins is None else await self._sign_ins.session(tokens)

    def _of_key(self, snapshot: Snapshot, key: bytes, ip: str | None, path: str) -> Identity:
        try:
            identity = key_identity(snapshot, key)
        except AuthenticationFailed:
            self._refused(ip, path)
            raise
        if self._seen.is_new(identity.name, ip or ""):
            self._write(AuditResult.OK, identity.name, ip, path)
        return identity

    def _refused(self, ip: str | None, path: str) -> None:
        unwritten = self._refusals.note(ip, trio.current_time())
        if unwritten is not None:
            self._write(AuditResult.REFUSED, None, ip, path, unwritten)

    def _write(
        self, result: AuditResult, name: str | None, ip: str | None, path: str, unwritten: int = 0
    ) -> None:
        self._audit(
            AuditEvent(
                time=time.time(),
                action=AuditAction.SIGN_IN,
                result=result,
                actor_kind=ActorKind.ADMIN,
                actor=name,
                client_ip=ip,
                # Strangers can send a path of 64 KiB, and events wait in memory and in the journal.
                target=shortened(path),
                details={"unwritten": unwritten} if unwritten else {},
            )
        )
