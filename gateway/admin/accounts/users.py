"""`/admin/api/users`: made, listed, changed, removed, by whoever may manage users.

A change says with If-Match which version it was made of (RFC 9110, 13.1.1), so that two admins
cannot overwrite each other's without seeing it. No answer has anything of a password.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import msgspec
from starlette.responses import Response

from ...control.paging import NamePage
from ...core.records.audit import AuditAction, AuditResult
from ...errors import (
    Conflict,
    GatewayError,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
)
from ...store.accounts import failures, sessions, users
from ...store.accounts.users import Refused, User, UserChange
from ...store.queries.cursor import check_limit
from ..request import AdminRequest, encoded
from ..rights import Role
from .rules import is_name, valid_name, valid_password
from .subjects import account_key
from .tokens import new_user_id

_LIMIT: Final = 100
_MOST: Final = 1000


class NewUser(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    password: str
    role: Role = Role.VIEWER


class ChangedUser(msgspec.Struct, forbid_unknown_fields=True):
    role: Role | msgspec.UnsetType = msgspec.UNSET
    disabled: bool | msgspec.UnsetType = msgspec.UNSET


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    password: str


class ShownSession(msgspec.Struct):
    """A session without what could be used to find it again."""

    created: int
    seen: int
    expires: int
    client_ip: str | None
    user_agent: str | None


class SessionList(msgspec.Struct):
    rows: list[ShownSession]


class SessionsEnded(msgspec.Struct):
    sessions_ended: int


class UserRemoved(msgspec.Struct):
    removed: bool
    sessions_ended: int


async def listed(request: AdminRequest) -> Response:
    """Answer with a page of users by name: `rows` and `next`, the cursor of the page after it."""
    request.only("limit", "cursor")
    limit = request.number("limit", _LIMIT)
    check_limit(limit, _MOST)
    after = _after(request.text("cursor", ""))
    rows = await request.database.read(lambda connection: users.page(connection, after, limit + 1))
    more = len(rows) > limit
    rows = rows[:limit]
    return encoded(NamePage(rows, _cursor(rows[-1].name) if more else None))


async def one(request: AdminRequest) -> Response:
    return _shown(await _found(request))


async def create(request: AdminRequest) -> Response:
    """Make a user; 409 if the name is taken."""
    sign_ins = request.sign_ins
    given = await request.json(NewUser)
    name = valid_name(given.name)
    hashed = await sign_ins.hashes.hash(valid_password(given.password, name))
    now, role = sign_ins.now, given.role.value
    made = await request.database.write(
        lambda connection: users.create(
            connection, user_id=new_user_id(), name=name, role=role, password=hashed, now=now
        )
    )
    if isinstance(made, Refused):
        raise _refusal(made, name)
    request.audit(AuditAction.USER_CREATED, AuditResult.OK, name, new={"role": role})
    return _shown(made, 201)


async def change(request: AdminRequest) -> Response:
    """Change role or disabled; needs If-Match. Disabling ends the user's sessions."""
    given = await request.json(ChangedUser)
    role = None if given.role is msgspec.UNSET else given.role.value
    disabled = None if given.disabled is msgspec.UNSET else given.disabled
    if role is None and disabled is None:
        raise InvalidRequest("The body must have a role or disabled.")
    user_id, version, now = _id(request), _version(request), request.sign_ins.now

    def work(connection: Any) -> UserChange | Refused:
        done = users.change(
            connection, user_id, now=now, version=version, role=role, disabled=disabled
        )
        if isinstance(done, UserChange) and disabled is False:
            failures.forget(connection, [account_key(done.after.name)])
        return done

    done = _done(await request.database.write(work), user_id)
    old, new = done.differences
    request.audit(
        AuditAction.USER_CHANGED,
        AuditResult.OK,
        done.after.name,
        old=old,
        new=new,
        sessions_ended=done.sessions_ended,
    )
    return _shown(done.after)


async def remove(request: AdminRequest) -> Response:
    """Remove a user; needs If-Match."""
    user_id, version = _id(request), _version(request)
    done = _done(
        await request.database.write(
            lambda connection: users.remove(connection, user_id, version=version)
        ),
        user_id,
    )
    request.audit(
        AuditAction.USER_REMOVED,
        AuditResult.OK,
        done.before.name,
        old={"role": done.before.role, "disabled": done.before.disabled},
        sessions_ended=done.sessions_ended,
    )
    return encoded(UserRemoved(True, done.sessions_ended))


async def set_password(request: AdminRequest) -> Response:
    """Set a user's password, for one who has forgotten it. Ends the user's sessions."""
    user = await _found(request)
    given = await request.json(NewPassword)
    sign_ins = request.sign_ins
    hashed = await sign_ins.hashes.hash(valid_password(given.password, user.name))
    now = sign_ins.now

    def work(connection: Any) -> UserChange | Refused:
        failures.forget(connection, [account_key(user.name)])
        return users.change(connection, user.id, now=now, password=hashed)

    done = _done(await request.database.write(work), user.id)
    request.audit(
        AuditAction.PASSWORD_CHANGED,
        AuditResult.OK,
        user.name,
        sessions_ended=done.sessions_ended,
    )
    return _shown(done.after)


async def sessions_of(request: AdminRequest) -> Response:
    """Answer with a user's sessions, the newest first."""
    user, sign_ins = await _found(request), request.sign_ins
    now, idle = sign_ins.now, sign_ins.idle
    found = await request.database.read(
        lambda connection: sessions.of_user(connection, user.id, now=now, idle=idle)
    )
    rows = [
        ShownSession(each.created, each.seen, each.expires, each.client_ip, each.user_agent)
        for each in found
    ]
    return encoded(SessionList(rows))


async def end_sessions(request: AdminRequest) -> Response:
    """Sign a user out everywhere."""
    user = await _found(request)
    ended = await request.database.write(lambda connection: sessions.end_all(connection, user.id))
    request.audit(AuditAction.SESSIONS_ENDED, AuditResult.OK, user.name, sessions_ended=ended)
    return encoded(SessionsEnded(ended))


async def _found(request: AdminRequest) -> User:
    user_id = _id(request)
    found = await request.database.read(lambda connection: users.by_id(connection, user_id))
    if found is None:
        raise _refusal(Refused.ABSENT, user_id)
    return found


def _id(request: AdminRequest) -> str:
    return request.argument


def _version(request: AdminRequest) -> int:
    """Return the version that the caller has seen. Raises PreconditionRequired and -Failed."""
    given = request.http.headers.get("if-match")
    if given is None:
        raise PreconditionRequired(
            "a change needs If-Match with the ETag of what it was made of; GET it first"
        )
    # A weak tag never matches here (RFC 9110, 13.1.1), and "*" would match what nobody has seen.
    tag = given.strip().removeprefix('"').removesuffix('"')
    if not (tag.isascii() and tag.isdigit() and len(tag) <= 18):
        raise PreconditionFailed(_STALE)
    return int(tag)


_STALE: Final = "the user has been changed since it was read; read it again"


def _done(done: UserChange | Refused, user_id: str) -> UserChange:
    if isinstance(done, Refused):
        raise _refusal(done, user_id)
    return done


def _refusal(why: Refused, which: str) -> GatewayError:
    if why is Refused.ABSENT:
        return NotFound(f"there is no user {which!r}")
    if why is Refused.STALE:
        return PreconditionFailed(_STALE)
    if why is Refused.EXTERNAL:
        return Conflict("this user signs in at another provider", code="external_user")
    if why is Refused.TAKEN:
        return Conflict(f"there is a user {which!r} already", code="name_taken", param="name")
    return Conflict("this is the last enabled admin; make another one first", code="last_admin")


def _shown(user: User, status: int = 200) -> Response:
    answer = encoded(user, status)
    answer.headers["etag"] = f'"{user.version}"'
    return answer


def _cursor(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode("ascii")).rstrip(b"=").decode("ascii")


def _after(cursor: str) -> str:
    try:
        name = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (ValueError, binascii.Error) as exc:
        raise InvalidRequest("cursor is none of this query.", param="cursor") from exc
    if cursor and not is_name(name):
        raise InvalidRequest("cursor is none of this query.", param="cursor")
    return name
