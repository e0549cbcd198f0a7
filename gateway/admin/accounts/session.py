"""`/admin/api/session`: sign in, see who one is, sign out. And one's own password."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from ...core.records.audit import AuditAction, AuditResult
from ...errors import InvalidRequest, PermissionDenied
from ...store.accounts import users
from ...store.accounts.users import Refused
from ..request import AdminRequest, encoded
from .cookies import clear_cookie, session_tokens, set_cookie
from .identity import Identity
from .rules import LONGEST, valid_password
from .sign_ins import SignedIn
from .users import SessionsEnded


class SignInForm(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    password: str


class OwnPassword(msgspec.Struct, forbid_unknown_fields=True):
    current: str
    password: str


class SessionView(msgspec.Struct):
    """Who asks. What only a session has is None for a key; times are microseconds."""

    name: str
    kind: str
    role: str | None
    rights: list[str]
    csrf_token: str | None
    created: int | None
    expires: int | None


async def sign_in(request: AdminRequest) -> Response:
    """Sign in with `name` and `password`, as JSON or as a form; the answer sets the cookie."""
    sign_ins = request.sign_ins
    given = await _credentials(request)
    begun = await sign_ins.sign_in(
        given.name,
        given.password[: LONGEST + 1],
        request.arrival,
        request.http.headers.get("user-agent"),
        session_tokens(request.http.scope["headers"]),
    )
    return signed_in(request, begun)


async def current(request: AdminRequest) -> Response:
    """Say who asks: name, role, rights and, of a session, its CSRF token and end."""
    return encoded(shown(request.identity))


async def sign_out(request: AdminRequest) -> Response:
    """End the session, or with `everywhere=true` all sessions of the user."""
    request.only("everywhere")
    everywhere = request.text("everywhere", "false", ("false", "true")) == "true"
    _session_of(request)
    ended = await request.sign_ins.sign_out(
        request.identity, request.arrival, everywhere=everywhere
    )
    answer = encoded(SessionsEnded(ended))
    answer.headers["set-cookie"] = clear_cookie(secure=request.arrival.secure)
    return answer


async def own_password(request: AdminRequest) -> Response:
    """Change one's own password. Ends all sessions of the user, and begins a new one here."""
    identity, sign_ins = request.identity, request.sign_ins
    _session_of(request)
    given = await request.json(OwnPassword)
    new = valid_password(given.password, identity.name)
    # Counted like a sign-in: a session that was left open must not be a way to try passwords.
    user, expected = await sign_ins.attempt(identity.name, request.arrival)
    if not await sign_ins.hashes.matches(given.current[: LONGEST + 1], expected) or user is None:
        request.audit(AuditAction.PASSWORD_CHANGED, AuditResult.REFUSED, identity.name)
        raise PermissionDenied("the current password is wrong", code="wrong_password")
    hashed = await sign_ins.hashes.hash(new)
    now = sign_ins.now
    changed = await request.database.write(
        lambda connection: users.change(
            connection, user.id, now=now, version=user.version, password=hashed
        )
    )
    if isinstance(changed, Refused):
        raise PermissionDenied("the account has been changed meanwhile", code="wrong_password")
    request.audit(
        AuditAction.PASSWORD_CHANGED,
        AuditResult.OK,
        identity.name,
        sessions_ended=changed.sessions_ended,
    )
    begun = await sign_ins.begin(
        changed.after, hashed, request.arrival, request.http.headers.get("user-agent"), ()
    )
    if begun is None:
        raise PermissionDenied("the account has been changed meanwhile", code="wrong_password")
    return signed_in(request, begun)


def signed_in(request: AdminRequest, begun: SignedIn, status: int = 200) -> Response:
    """Return an answer that hands the token of a new session to the browser."""
    answer = encoded(shown(begun.identity), status)
    answer.headers["set-cookie"] = set_cookie(
        begun.token, secure=request.arrival.secure, seconds=begun.seconds
    )
    return answer


def shown(identity: Identity) -> SessionView:
    session = identity.session
    return SessionView(
        name=identity.name,
        kind=identity.kind.value,
        role=None if identity.role is None else identity.role.value,
        rights=sorted(right.value for right in identity.rights),
        csrf_token=identity.csrf_token,
        created=None if session is None else session.created,
        expires=None if session is None else session.expires,
    )


async def _credentials(request: AdminRequest) -> SignInForm:
    if not request.http.headers.get("content-type", "").startswith("application/x-www-form"):
        return await request.json(SignInForm)
    fields = await request.form()
    try:
        (name,), (password,) = fields["name"], fields["password"]
    except (KeyError, ValueError) as exc:
        raise InvalidRequest("The form must have one name and one password.") from exc
    return SignInForm(name, password)


def _session_of(request: AdminRequest) -> None:
    if request.identity.session is None:
        raise PermissionDenied("a key of [[admins]] has no session", code="no_session")
