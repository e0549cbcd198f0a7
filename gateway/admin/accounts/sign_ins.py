"""Signing in with name and password, and the sessions that come of it.

An attempt is three steps: it is counted (`store/accounts/failures.py`), the password is compared
in a thread, and then the session is begun in the transaction that takes the count back. All of it
is in the database, so that any process of the gateway knows every session and every lock-out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import structlog
import trio

from ...core.records.audit import ActorKind, AuditAction, AuditEvent, AuditResult
from ...core.sign_in import AdminSettings
from ...errors import AuthenticationFailed, RateLimited, StoreUnavailable
from ...store.accounts import failures, sessions, users
from ...store.accounts.sessions import OpenSession, StoredSession
from ...store.accounts.users import User
from ...store.engine.database import Database
from .arrival import Arrival
from .failed_sign_ins import FailedSignIns
from .identity import Identity, SessionInfo
from .passwords import PasswordHashes
from .rules import is_name, same_name
from .subjects import subjects_of
from .tokens import csrf_token, digest_of, new_token

_MICROSECONDS: Final = 1_000_000
# That a session was used is written down once in so many seconds.
_TOUCH: Final = 60 * _MICROSECONDS
# Seconds that a request may wait for that to be written.
_TOUCH_PATIENCE: Final = 2.0
_MOST_AGENT: Final = 256

_log = structlog.get_logger(__name__)


class SignedIn(msgspec.Struct, frozen=True):
    """A session that has just begun: its token, which only the browser keeps, and who has it."""

    token: str
    identity: Identity
    seconds: int


class SignIns:
    """`settings` returns those in use now; `clock` is Unix time in seconds."""

    def __init__(
        self,
        database: Database,
        settings: Callable[[], AdminSettings],
        audit: Callable[[AuditEvent], None],
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._settings = settings
        self._audit = audit
        self._clock = clock
        self._refusals = FailedSignIns()
        self.hashes: Final = PasswordHashes()

    @property
    def now(self) -> int:
        """Return the time in microseconds since 1970."""
        return round(self._clock() * _MICROSECONDS)

    @property
    def idle(self) -> int:
        """Return after how many microseconds without a request a session is over."""
        return round(self._settings().session_idle_minutes * 60 * _MICROSECONDS)

    async def sign_in(
        self, name: str, password: str, arrival: Arrival, agent: str | None, old: Sequence[str]
    ) -> SignedIn:
        """Begin a session; those of the tokens `old`, which the browser had so far, are ended.

        Raises AuthenticationFailed (401), the same whatever was wrong; RateLimited (429) after too
        many failures; Overloaded and StoreUnavailable (503).
        """
        name = same_name(name)
        user, expected = await self.attempt(name, arrival)
        right = await self.hashes.matches(password, expected)
        session = None
        if right and user is not None and expected is not None and not user.disabled:
            session = await self.begin(user, expected, arrival, agent, old)
        if session is None:
            why = "unknown" if user is None else "disabled" if right else "password"
            self._refused(user, arrival, why)
            raise AuthenticationFailed("the name or the password is wrong", code="sign_in_failed")
        self.note_sign_in(session.identity.name, arrival, {})
        return session

    async def attempt(self, name: str, arrival: Arrival) -> tuple[User | None, str | None]:
        """Count an attempt; return the user and the hash of the password, None if there is none.

        Raises RateLimited (429), and then nothing is counted.
        """
        now, subjects = self.now, subjects_of(name, arrival.address)

        def work(connection: Any) -> tuple[int, tuple[User, str] | None]:
            wait = failures.reserve(connection, subjects, now)
            # What is no name is not asked for: PostgreSQL has no text with a NUL, for one.
            return wait, users.with_password(connection, name) if is_name(name) else None

        wait, found = await self._database.write(work)
        user, expected = found or (None, None)
        if wait:
            self._refused(user, arrival, "locked")
            seconds = max(1, -(-wait // _MICROSECONDS))
            raise RateLimited(
                f"too many sign-ins have failed; try again in {seconds} s",
                kind="sign_in",
                retry_after=seconds,
            )
        return user, expected

    async def begin(
        self,
        user: User,
        expected: str,
        arrival: Arrival,
        agent: str | None,
        old: Sequence[str],
        *,
        counted: bool = True,
    ) -> SignedIn | None:
        """Begin a session, and take back the attempt if one was `counted`.

        Returns None if the user is disabled, or the hash of the password is not `expected` (any
        more).
        """
        now, token, settings = self.now, new_token(), self._settings()
        subjects = subjects_of(user.name, arrival.address)
        seconds = max(1, round(settings.session_hours * 3600))
        stored = StoredSession(
            digest=digest_of(token),
            user_id=user.id,
            created=now,
            seen=now,
            expires=now + seconds * _MICROSECONDS,
            client_ip=arrival.address,
            user_agent=None if agent is None else agent[:_MOST_AGENT].replace("\0", "?"),
        )
        idle = self.idle

        def work(connection: Any) -> OpenSession | None:
            found = sessions.begin(connection, stored, password=expected, idle=idle)
            if found is not None:
                if counted:
                    failures.succeed(connection, subjects)
                for each in old:
                    sessions.end(connection, digest_of(each))
            return found

        found = await self._database.write(work)
        return None if found is None else SignedIn(token, _identity(found, token), seconds)

    async def session(self, tokens: Sequence[str]) -> Identity | None:
        """Return whose session it is, and note that it was used; None if there is none.

        Of several tokens none counts: an attacker may have added one.
        """
        if len(tokens) != 1:
            return None
        now, idle, digest = self.now, self.idle, digest_of(tokens[0])
        found = await self._database.read(
            lambda connection: sessions.find(connection, digest, now=now, idle=idle)
        )
        if found is None:
            return None
        if now - found.session.seen >= min(_TOUCH, idle // 2):
            try:
                await self._database.write(
                    lambda connection: sessions.touch(connection, digest, now), _TOUCH_PATIENCE
                )
            except StoreUnavailable as exc:
                # The request goes on; the session ends earlier than it might, at worst.
                _log.warning("that a session is used cannot be written down", error=exc.message)
        return _identity(found, tokens[0])

    async def sign_out(self, identity: Identity, arrival: Arrival, *, everywhere: bool) -> int:
        """End the session of `identity`, or all of its user; return how many have ended."""
        info = identity.session
        if info is None:
            return 0

        def work(connection: Any) -> int:
            if everywhere:
                return sessions.end_all(connection, info.user_id)
            return int(sessions.end(connection, info.digest))

        ended = await self._database.write(work)
        details = {"everywhere": True, "sessions": ended} if everywhere else {}
        self._note(AuditAction.SIGN_OUT, AuditResult.OK, identity.name, arrival, details)
        return ended

    def note_sign_in(self, name: str, arrival: Arrival, details: dict[str, Any]) -> None:
        """Put a sign-in into the audit log."""
        self._note(AuditAction.SIGN_IN, AuditResult.OK, name, arrival, details)

    def note_refusal(self, arrival: Arrival, why: str) -> None:
        """Put a sign-in of somebody who is not known into the audit log; few of a flood."""
        self._refused(None, arrival, why)

    def _refused(self, user: User | None, arrival: Arrival, why: str) -> None:
        unwritten = self._refusals.note(arrival.address, trio.current_time())
        if unwritten is None:
            return
        # What is no user's name may be a password that was typed into the wrong field.
        details: dict[str, Any] = {"why": why}
        if unwritten:
            details["unwritten"] = unwritten
        name = None if user is None else user.name
        self._note(AuditAction.SIGN_IN, AuditResult.REFUSED, name, arrival, details)

    def _note(
        self,
        action: AuditAction,
        result: AuditResult,
        name: str | None,
        arrival: Arrival,
        details: dict[str, Any],
    ) -> None:
        self._audit(
            AuditEvent(
                time=self._clock(),
                action=action,
                result=result,
                actor_kind=ActorKind.USER,
                actor=name,
                client_ip=arrival.address,
                details=details,
            )
        )


def _identity(found: OpenSession, token: str) -> Identity:
    stored = found.session
    return Identity(
        name=found.name,
        kind=ActorKind.USER,
        scopes=(found.role,),
        session=SessionInfo(
            digest=stored.digest,
            user_id=stored.user_id,
            csrf_token=csrf_token(token),
            created=stored.created,
            expires=stored.expires,
        ),
    )
