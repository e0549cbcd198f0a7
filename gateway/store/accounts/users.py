"""Users: made, found, changed, removed. Hashes of passwords never leave through `User`."""

from __future__ import annotations

import enum
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, RowMapping, delete, func, insert, select, text, update

from ..control import grants
from ..engine.schema import sessions, users

# "users" in ASCII: the advisory lock of transactions that decide about users, on PostgreSQL.
_LOCK: Final = 0x7573657273
# How the ids of users begin who sign in elsewhere.
EXTERNAL: Final = "oidc_"
# The role of which one enabled user must be left.
_ADMIN: Final = "admin"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """One user. `version` goes up with every change; times are microseconds since 1970."""

    id: str
    name: str
    role: str
    disabled: bool
    version: int
    created: int
    changed: int
    password_changed: int
    last_sign_in: int | None

    @property
    def is_external(self) -> bool:
        """Say whether the user signs in elsewhere."""
        return self.id.startswith(EXTERNAL)


class Refused(enum.Enum):
    """Why a change was not made."""

    ABSENT = "absent"  # there is no such user
    STALE = "stale"  # it has another version by now
    LAST_ADMIN = "last_admin"  # no enabled admin would be left
    TAKEN = "taken"  # another user has the name
    EXTERNAL = "external"  # the user signs in elsewhere and can have no password


class UserChange(msgspec.Struct, frozen=True):
    """A change that was made."""

    before: User
    after: User
    sessions_ended: int

    @property
    def differences(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the old and the new values of what has changed, but for a password."""
        before, after = self.before, self.after
        names = [
            name for name in ("role", "disabled") if getattr(before, name) != getattr(after, name)
        ]
        return (
            {name: getattr(before, name) for name in names},
            {name: getattr(after, name) for name in names},
        )


_FIELDS: Final = tuple(users.c[name] for name in User.__struct_fields__)


def serialize(connection: Connection) -> None:
    """Wait until no other transaction decides about users; on SQLite only one can write anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def exist(connection: Connection) -> bool:
    """Say whether there is any user."""
    return connection.execute(select(users.c.id).limit(1)).first() is not None


def by_id(connection: Connection, user_id: str) -> User | None:
    row = connection.execute(select(*_FIELDS).where(users.c.id == user_id)).mappings().first()
    return None if row is None else _user(row)


def by_name(connection: Connection, name: str) -> User | None:
    row = connection.execute(select(*_FIELDS).where(users.c.name == name)).mappings().first()
    return None if row is None else _user(row)


def with_password(connection: Connection, name: str) -> tuple[User, str] | None:
    """Return a user and the hash of the password."""
    query = select(*_FIELDS, users.c.password).where(users.c.name == name)
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    fields = dict(row)
    password = fields.pop("password")
    return User(**fields), password


def page(connection: Connection, after: str, limit: int) -> list[User]:
    """Return the users whose names come after `after`, in the order of their names."""
    query = select(*_FIELDS).where(users.c.name > after).order_by(users.c.name).limit(limit)
    return [_user(row) for row in connection.execute(query).mappings()]


def all_users(connection: Connection) -> list[User]:
    """Return all users in the order of their names."""
    query = select(*_FIELDS).order_by(users.c.name)
    return [_user(row) for row in connection.execute(query).mappings()]


def create(
    connection: Connection, *, user_id: str, name: str, role: str, password: str, now: int
) -> User | Refused:
    """Make a user; `password` is a hash."""
    serialize(connection)
    if by_name(connection, name) is not None:
        return Refused.TAKEN
    made = User(
        id=user_id,
        name=name,
        role=role,
        disabled=False,
        version=1,
        created=now,
        changed=now,
        password_changed=now,
        last_sign_in=None,
    )
    connection.execute(insert(users).values(**msgspec.structs.asdict(made), password=password))
    return made


def set_external(
    connection: Connection, *, user_id: str, name: str, role: str, password: str, now: int
) -> User | Refused:
    """Make a user who signs in elsewhere, or change name and role to what is said there now.

    `password` is what stands for a hash, which no password has. The last admin may lose the role:
    who is an admin is decided elsewhere.
    """
    serialize(connection)
    before = by_id(connection, user_id)
    if before is None:
        return create(connection, user_id=user_id, name=name, role=role, password=password, now=now)
    if (before.name, before.role) == (name, role):
        return before
    other = by_name(connection, name)
    if other is not None and other.id != user_id:
        return Refused.TAKEN
    connection.execute(
        update(users)
        .where(users.c.id == user_id)
        .values(name=name, role=role, version=before.version + 1, changed=now)
    )
    after = by_id(connection, user_id)
    assert after is not None
    return after


def change(
    connection: Connection,
    user_id: str,
    *,
    now: int,
    version: int | None = None,
    role: str | None = None,
    disabled: bool | None = None,
    password: str | None = None,
) -> UserChange | Refused:
    """Change what is given; `version` is the one that the caller has seen, None for any.

    A new password, and disabling, end all sessions of the user. A new role does not: it holds from
    the next request on.
    """
    serialize(connection)
    before = by_id(connection, user_id)
    if before is None:
        return Refused.ABSENT
    if version is not None and before.version != version:
        return Refused.STALE
    values: dict[str, Any] = {"version": before.version + 1, "changed": now}
    if role is not None:
        values["role"] = role
    if disabled is not None:
        values["disabled"] = disabled
    if password is not None:
        values |= {"password": password, "password_changed": now}
    if password is not None and before.is_external:
        return Refused.EXTERNAL
    if _is_last_admin(connection, before) and (role not in (None, _ADMIN) or disabled):
        return Refused.LAST_ADMIN
    connection.execute(update(users).where(users.c.id == user_id).values(**values))
    ended = 0
    if disabled or password is not None:
        ended = _end_sessions(connection, before)
    after = by_id(connection, user_id)
    assert after is not None
    return UserChange(before, after, ended)


def remove(
    connection: Connection, user_id: str, *, version: int | None = None
) -> UserChange | Refused:
    """Remove a user and end their sessions; `after` is then the same as `before`."""
    serialize(connection)
    before = by_id(connection, user_id)
    if before is None:
        return Refused.ABSENT
    if version is not None and before.version != version:
        return Refused.STALE
    if _is_last_admin(connection, before):
        return Refused.LAST_ADMIN
    connection.execute(delete(users).where(users.c.id == user_id))
    return UserChange(before, before, _end_sessions(connection, before))


def _end_sessions(connection: Connection, user: User) -> int:
    """End a user's sessions and what they were granted; return how many sessions it were."""
    ended = connection.execute(delete(sessions).where(sessions.c.user_id == user.id)).rowcount
    grants.end_of(connection, user.name)
    return ended


def _is_last_admin(connection: Connection, user: User) -> bool:
    if user.role != _ADMIN or user.disabled:
        return False
    others = select(func.count()).where(
        users.c.role == _ADMIN, users.c.disabled.is_(False), users.c.id != user.id
    )
    return not connection.scalar(others)


def _user(row: RowMapping) -> User:
    return User(**row)
