"""Sessions: begun at a sign-in, found by the digest of their token, ended."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update

from ..control import grants
from ..engine.schema import sessions, users
from . import users as accounts

# Of one user: a program that signs in for every call must not fill the table.
MOST: Final = 100


class StoredSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session; times are microseconds since 1970."""

    digest: str
    user_id: str
    created: int
    seen: int
    expires: int
    client_ip: str | None
    user_agent: str | None


class OpenSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session that has not ended, and what its user is called and may do now."""

    session: StoredSession
    name: str
    role: str


_FIELDS: Final = tuple(sessions.c[name] for name in StoredSession.__struct_fields__)


def begin(
    connection: Connection, session: StoredSession, *, password: str, idle: int
) -> OpenSession | None:
    """Begin a session of a user whose password has this hash; None if that is not so any more.

    Takes out sessions that are over, and the oldest of a user who has too many.
    """
    accounts.serialize(connection)
    row = connection.execute(
        select(users.c.name, users.c.role).where(
            users.c.id == session.user_id,
            users.c.password == password,
            users.c.disabled.is_(False),
        )
    ).first()
    if row is None:
        return None
    now = session.created
    connection.execute(
        delete(sessions).where(or_(sessions.c.expires <= now, sessions.c.seen <= now - idle))
    )
    newest = (
        select(sessions.c.digest)
        .where(sessions.c.user_id == session.user_id)
        .order_by(sessions.c.created.desc(), sessions.c.digest)
        .offset(MOST - 1)
    )
    crowded_out = connection.scalars(newest).all()
    connection.execute(delete(sessions).where(sessions.c.digest.in_(crowded_out)))
    connection.execute(insert(sessions).values(**msgspec.structs.asdict(session)))
    connection.execute(update(users).where(users.c.id == session.user_id).values(last_sign_in=now))
    return OpenSession(session=session, name=row.name, role=row.role)


def find(connection: Connection, digest: str, *, now: int, idle: int) -> OpenSession | None:
    """Return the session, unless it is over or its user is disabled or gone."""
    row = connection.execute(
        select(*_FIELDS, users.c.name, users.c.role)
        .join(users, users.c.id == sessions.c.user_id)
        .where(
            sessions.c.digest == digest,
            sessions.c.expires > now,
            sessions.c.seen > now - idle,
            users.c.disabled.is_(False),
        )
    ).first()
    if row is None:
        return None
    fields = row._asdict()
    name, role = fields.pop("name"), fields.pop("role")
    return OpenSession(session=StoredSession(**fields), name=name, role=role)


def of_user(connection: Connection, user_id: str, *, now: int, idle: int) -> list[StoredSession]:
    """Return the sessions of a user that are not over, the newest first."""
    query = (
        select(*_FIELDS)
        .where(
            sessions.c.user_id == user_id, sessions.c.expires > now, sessions.c.seen > now - idle
        )
        .order_by(sessions.c.created.desc(), sessions.c.digest)
    )
    return [StoredSession(**row) for row in connection.execute(query).mappings()]


def touch(connection: Connection, digest: str, now: int) -> None:
    """Note that a session was used."""
    connection.execute(
        update(sessions).where(sessions.c.digest == digest, sessions.c.seen < now).values(seen=now)
    )


def end(connection: Connection, digest: str) -> bool:
    """End one session, and what its user was granted meanwhile; say whether there was one."""
    return bool(_end(connection, sessions.c.digest == digest))


def end_all(connection: Connection, user_id: str) -> int:
    """End all sessions of a user, and what they were granted; return how many sessions it were."""
    return _end(connection, sessions.c.user_id == user_id)


def _end(connection: Connection, those: ColumnElement[bool]) -> int:
    whose = select(users.c.name).join(sessions, users.c.id == sessions.c.user_id).where(those)
    names = connection.scalars(whose.distinct()).all()
    ended = connection.execute(delete(sessions).where(those)).rowcount
    for name in names:
        grants.end_of(connection, name)
    return ended
