"""One-time links with which the first user is made. They are worth nothing once there is a user."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from ..engine.schema import setup_links
from . import users
from .users import Refused, User


def offer(connection: Connection, digest: str, *, now: int, seconds: int) -> bool:
    """Make a link that is good for so many seconds; False if there is a user already."""
    users.serialize(connection)
    if users.exist(connection):
        return False
    connection.execute(delete(setup_links).where(setup_links.c.expires <= now))
    connection.execute(
        insert(setup_links).values(digest=digest, created=now, expires=now + seconds * 1_000_000)
    )
    return True


def is_good(connection: Connection, digest: str, now: int) -> bool:
    """Say whether a user could be made with the link."""
    if users.exist(connection):
        return False
    found = select(setup_links.c.digest).where(
        setup_links.c.digest == digest, setup_links.c.expires > now
    )
    return connection.execute(found).first() is not None


def redeem(
    connection: Connection,
    digest: str,
    *,
    user_id: str,
    name: str,
    role: str,
    password: str,
    now: int,
) -> User | None:
    """Make the first user, and withdraw all links; None if the link is not good (any more).

    Of several who do this at once, with one link or with several, the first makes the user.
    """
    users.serialize(connection)
    if not is_good(connection, digest, now):
        return None
    connection.execute(delete(setup_links))
    made = users.create(
        connection, user_id=user_id, name=name, role=role, password=password, now=now
    )
    assert not isinstance(made, Refused)
    return made
