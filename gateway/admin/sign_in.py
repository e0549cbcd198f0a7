"""Who may come in: whoever has a key of `[[admins]]`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import trio

from ..config.snapshot import Snapshot
from ..core.records.audit import ActorKind, AuditAction, AuditEvent, AuditResult, shortened
from ..errors import AuthenticationFailed, PermissionDenied
from .failed_sign_ins import FailedSignIns

# A key comes with every request: an admin at an address is written down so often, in seconds.
_AGAIN: Final = 3600.0
_REMEMBERED: Final = 1000


def authenticate(snapshot: Snapshot, key: bytes | None) -> str:
    """Return the name of the admin that `key` belongs to. Raises 401, and 403 if there is none."""
    if not snapshot.admins:
        raise PermissionDenied(
            "the admin API is off; add [[admins]] with a name and a key to the configuration"
        )
    name = snapshot.admin(key) if key else None
    if name is None:
        raise AuthenticationFailed("the admin API takes the keys of [[admins]] and no others")
    return name


class RecentlySeen:
    """What was written down lately and need not be again. Forgets the oldest if there is much."""

    def __init__(self, seconds: float, most: int = _REMEMBERED) -> None:
        self._seconds = seconds
        self._most = most
        self._until: dict[tuple[str, ...], float] = {}

    def is_new(self, *what: str) -> bool:
        """Say whether `what` has not been asked about for so long, and remember it."""
        now = trio.current_time()
        if self._until.get(what, now) > now:
            return False
        self._until.pop(what, None)
        if len(self._until) >= self._most:
            del self._until[next(iter(self._until))]
        self._until[what] = now + self._seconds
        return True


class Authenticator:
    """Lets admins in, and has written down who came in and who could not."""

    def __init__(self, audit: Callable[[AuditEvent], None]) -> None:
        self._audit = audit
        self._refusals = FailedSignIns()
        self._seen = RecentlySeen(_AGAIN)

    def admit(self, snapshot: Snapshot, key: bytes | None, ip: str | None, path: str) -> str:
        """Return the admin's name. Raises AuthenticationFailed and PermissionDenied."""
        try:
            name = authenticate(snapshot, key)
        except AuthenticationFailed:
            # Without any key nobody has tried to be somebody.
            if key is not None:
                self._refused(ip, path)
            raise
        if self._seen.is_new(name, ip or ""):
            self._write(AuditResult.OK, name, ip, path)
        return name

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
                # Anybody can send 64 KiB of it, and events wait in memory and in the journal.
                target=shortened(path),
                details={"unwritten": unwritten} if unwritten else {},
            )
        )
