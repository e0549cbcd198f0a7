"""A dashboard in process, and people who act on it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import pytest

from gateway.config.load import parse
from gateway.store.engine.database import Database
from tests.api.asgi import Server
from tests.api.control import Scripted

from ..test_application import Site

CONFIG = parse(
    '[providers.p]\nkind = "demo"\n'
    '[[models]]\nname = "m"\nroutes = [{ provider = "p", model = "x" }]\n'
    '[[tokens]]\nname = "app"\nkey = "sk-app-key"\n',
    "test",
    {},
)


class Acting(Site):
    """A site whose people have a session and its token."""

    def __init__(self, database: Database, **more: Any) -> None:
        super().__init__(database, control=more.pop("control", Scripted(config=CONFIG)), **more)
        self.cookies: dict[str, str] = {}
        self.tokens: dict[str, str] = {}

    async def know(self, role: str) -> None:
        """Sign somebody of that role in, if that has not been done."""
        if role not in self.cookies:
            self.cookies[role] = await self.cookie(role)
            page = (await self.ask("/admin/settings", cookie=self.cookies[role])).body.decode()
            found = re.search(r'name="csrf_token" value="([^"]+)"', page)
            assert found
            self.tokens[role] = found[1]

    async def see(self, path: str, role: str = "operator", **headers: str) -> Server:
        await self.know(role)
        return await self.ask(path, cookie=self.cookies[role], **headers)

    async def act(self, path: str, role: str = "operator", **fields: str) -> Server:
        """Send a form with the token of its session, unless `fields` has another."""
        await self.know(role)
        body = urlencode({"csrf_token": self.tokens[role], **fields})
        return await self.ask(path, "POST", body, cookie=self.cookies[role])

    async def follow(self, answer: Server, role: str = "operator") -> str:
        """Return the page that an answer leads to."""
        assert answer.status == 303, answer.body.decode()
        page = await self.see(answer.headers[b"location"].decode(), role)
        assert page.status == 200, page.body.decode()
        return page.body.decode()

    def noted(self) -> list[dict[str, Any]]:
        """Return the entries of changes, which are written with them."""
        import json

        from sqlalchemy import select

        from gateway.store.engine.schema import audit

        rows = self.database.read_now(
            lambda connection: connection.execute(select(audit).order_by(audit.c.id)).all()
        )
        return [dict(row._mapping) | {"details": json.loads(row.details)} for row in rows]


@pytest.fixture
async def site(sqlite_database: Database) -> Acting:
    return Acting(sqlite_database)
