"""Users in a database, and browsers that they sit at."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from argon2 import PasswordHasher

from gateway.admin.accounts.tokens import new_user_id
from gateway.store.accounts import users
from gateway.store.accounts.users import User
from gateway.store.engine.database import Database
from tests.api.asgi import Server

from ..world import PEER, World

PASSWORD: Final = "correct horse battery"
# A hash like any other, and a thousandth of the work: what it takes is tested by itself.
CHEAP: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HASH: Final = CHEAP.hash(PASSWORD)
HOST: Final = b"gateway.example.com"


def new_user(database: Database, name: str, role: str = "viewer", now: int = 1) -> User:
    """Make a user whose password is `PASSWORD`."""
    made = database.write_now(
        lambda connection: users.create(
            connection, user_id=new_user_id(), name=name, role=role, password=HASH, now=now
        )
    )
    assert isinstance(made, User)
    return made


class Browser:
    """Keeps the session's cookie and CSRF token, and sends the origin as a browser does."""

    def __init__(self, world: World, peer: tuple[str, int] | None = PEER) -> None:
        self.world = world
        self.peer = peer
        self.cookie: bytes | None = None
        self.csrf: bytes | None = None
        self.origin: bytes | None = b"http://" + HOST
        self.set_cookies: list[bytes] = []

    async def call(
        self,
        target: str,
        method: str = "GET",
        value: Any = None,
        *,
        headers: dict[bytes, bytes] | None = None,
        key: bytes | None = None,
        body: bytes = b"",
    ) -> Server:
        sent = {b"host": HOST, b"user-agent": b"Browser/1.0"}
        if self.cookie is not None:
            sent[b"cookie"] = b"other=1; gateway_session=" + self.cookie
        if method not in ("GET", "HEAD"):
            if self.origin is not None:
                sent[b"origin"] = self.origin
            if self.csrf is not None:
                sent[b"x-csrf-token"] = self.csrf
        body = body if value is None else msgspec.json.encode(value)
        server = await self.world.call(
            target, method, key, {**sent, **(headers or {})}, peer=self.peer, body=body
        )
        given = [
            value
            for name, value in server.sent[0][1]["headers"]
            if name == b"set-cookie" and value.startswith(b"gateway_session=")
        ]
        self.set_cookies += given
        for each in given:
            self.cookie = each.partition(b";")[0].partition(b"=")[2] or None
        if given and server.body:
            self.csrf = server.json.get("csrf_token", "").encode() or None
        return server

    async def sign_in(self, name: str, password: str = PASSWORD) -> Server:
        return await self.call("session", "POST", {"name": name, "password": password})


async def signed_in(world: World, name: str) -> Browser:
    browser = Browser(world)
    server = await browser.sign_in(name)
    assert server.status == 200, server.json
    return browser
