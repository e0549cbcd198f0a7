"""An admin API and all that it works with, called in process or over real sockets."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import hypercorn.trio.run
import msgspec
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config, Sockets
from hypercorn.trio.tcp_server import TCPServer

from gateway.admin.application import AdminApi
from gateway.admin.resources import Resources
from gateway.admin.rights import ROUTES, Right
from gateway.admin.route import AdminRoute
from gateway.api.client import AsgiClient
from gateway.api.request import api_key, content_length, has_body, headers_of, request_id
from gateway.config.snapshot import Snapshot
from gateway.core.cache.answers import CachePolicy
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.records.audit import AuditAction, AuditEvent
from gateway.core.records.periods import HOUR
from gateway.lifecycle import Lifecycle
from gateway.proxy.cache.response_cache import ResponseCache
from gateway.proxy.services import Services
from gateway.proxy.traffic.control import TrafficControl
from gateway.serve.install import install
from gateway.serve.policy import ServingPolicy
from gateway.serve.sockets import listen
from gateway.state.health import LocalHealth
from gateway.state.limits import MemoryLimits
from gateway.store.engine.database import Database
from tests.api.asgi import Server, piece
from tests.api.control import Scripted
from tests.proxy.scripts import ScriptedUpstream
from tests.proxy.world import Records, deployment, snapshot_of
from tests.store.filled import fill_database

ADMIN, TOKEN = b"sk-admin", b"sk-token"
PEER: Final = ("192.0.2.7", 50_000)
SECOND: Final = 1_000_000


class World:
    """`events` is what was to be written into the audit log."""

    def __init__(
        self,
        database: Database | None = None,
        *,
        control: Scripted | None = None,
        admins: bool = True,
        captures: Path | None = None,
        routes: Sequence[AdminRoute] | None = None,
        **more: Any,
    ) -> None:
        self.events: list[AuditEvent] = []
        self.control = control or Scripted()
        self.lifecycle = Lifecycle()
        self.health = LocalHealth()
        self.snapshot: Snapshot = msgspec.structs.replace(
            snapshot_of(deployment("a"), keys={TOKEN: ("*",)}),
            admins={hashlib.sha256(ADMIN).digest(): "root"} if admins else {},
        )
        self.services = Services(
            upstream=ScriptedUpstream(()),
            limits=MemoryLimits(),
            health=self.health,
            traffic=TrafficControl(self.lifecycle),
            cache=ResponseCache(CachePolicy()),
            recorder=Records(),
            lifecycle=self.lifecycle,
            rng=lambda: 0.5,
        )
        self.api = AdminApi(
            Resources(
                control=self.control,
                services=self.services,
                lifecycle=self.lifecycle,
                since=trio.current_time(),
                snapshot=lambda: self.snapshot,
                audit=self.events.append,
                database=database,
                captures=captures,
                **more,
            ),
            routes,
            table={**ROUTES, **{(each.method, each.path): Right.OPERATE for each in routes or ()}},
        )

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Be an ASGI application, as the gateway is for the admin API."""
        headers = headers_of(scope)
        client = AsgiClient(
            receive,
            send,
            request_id(headers, b"x-request-id"),
            self.lifecycle,
            OPENAI_CHAT,
            has_body=has_body(headers),
            content_length=content_length(headers),
        )
        await self.api.serve(scope, client, api_key(headers))

    async def call(
        self,
        target: str,
        method: str = "GET",
        key: bytes | None = ADMIN,
        headers: dict[bytes, bytes] | None = None,
        server: Server | None = None,
        peer: tuple[str, int] | None = PEER,
        body: bytes = b"",
    ) -> Server:
        """Make a request of `/admin/api/` and `target`, and return the server's side of it."""
        path, _, query = target.partition("?")
        pairs = [*(headers or {}).items()]
        if key is not None:
            pairs.append((b"authorization", b"Bearer " + key))
        if body:
            pairs.append((b"content-length", b"%d" % len(body)))
        server = server or Server((0, piece(body)))
        scope = {
            "type": "http",
            "method": method,
            "raw_path": path.encode() if path.startswith("/") else b"/admin/api/" + path.encode(),
            "query_string": query.encode(),
            "headers": pairs,
            "client": peer,
        }
        await self.app(scope, server.receive, server.send)
        return server

    def seen(self, action: AuditAction) -> list[AuditEvent]:
        return [event for event in self.events if event.action is action]


def fill_requests(database: Database, rows: int) -> None:
    """Write requests of the day up to now."""
    hour = HOUR * SECOND
    end = round(time.time()) * SECOND // hour * hour
    fill_database(database, rows, end=end)


@asynccontextmanager
async def served(world: World, send_timeout: float = 10.0) -> AsyncIterator[int]:
    """Serve with Hypercorn's worker on a port of its own, which is yielded."""
    policy = ServingPolicy(send_timeout=send_timeout)
    sockets = listen(["127.0.0.1:0"], send_timeout=policy.send_timeout)
    connections = install(lambda: policy, world.lifecycle)
    quiet = Config()
    quiet.loglevel = "WARNING"
    stop = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await world.app(scope, receive, send)
            return
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})

    try:
        async with trio.open_nursery() as nursery:
            serve = partial(
                hypercorn.trio.run.worker_serve,
                ASGIWrapper(app),
                quiet,
                sockets=Sockets([], list(sockets), []),
                shutdown_trigger=stop.wait,
            )
            await nursery.start(serve)
            watching = trio.CancelScope()

            async def watch() -> None:
                with watching:
                    await connections.watch()

            nursery.start_soon(watch)
            try:
                yield sockets[0].getsockname()[1]
            finally:
                stop.set()
                watching.cancel()
    finally:
        hypercorn.trio.run.TCPServer = TCPServer  # type: ignore[attr-defined]  # as it was
