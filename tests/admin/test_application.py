"""Routes, methods and errors of the admin API: in the shapes of the rest of the API."""

from __future__ import annotations

import re

import pytest
import trio
from starlette.responses import Response
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.admin.accounts.identity import Identity
from gateway.admin.application import AdminApi
from gateway.admin.request import AdminRequest
from gateway.admin.rights import ROUTES, Right
from gateway.admin.route import AdminRoute
from gateway.admin.routes import all_routes
from gateway.api.client import LINGER_SECONDS
from gateway.core.records.audit import AuditAction
from gateway.errors import GatewayError, StoreUnavailable
from gateway.store.engine.database import Database
from tests.api.asgi import Server, piece

from .accounts.people import Browser, new_user, signed_in
from .world import World

ERROR = {"message", "type", "param", "code"}


def methods() -> dict[str, set[str]]:
    """Return the methods of each path; an id with slashes may reach as far as a longer path."""
    paths = {
        each.path.replace("{id:path}", "req_1").replace("{id}", "usr_1") for each in all_routes()
    }
    found: dict[str, set[str]] = {path: set() for path in paths}
    for each in all_routes():
        pattern = re.escape(each.path).replace(re.escape("{id:path}"), ".+")
        for path in paths:
            if re.fullmatch(pattern.replace(re.escape("{id}"), "[^/]+"), path):
                found[path].update(("GET", "HEAD") if each.method == "GET" else (each.method,))
    return found


@pytest.mark.parametrize(("path", "allowed"), sorted(methods().items()))
async def test_each_takes_its_methods_only(path: str, allowed: set[str]) -> None:
    world = World()
    for other in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        server = await world.call(path, other)
        if other in allowed:
            assert server.status != 405
        else:
            assert server.status == 405
            assert server.headers[b"allow"] == ", ".join(sorted(allowed)).encode()
            assert set(server.json["error"]) == ERROR
            assert server.json["error"]["code"] == "method_not_allowed"
        assert server.headers[b"x-request-id"].startswith(b"req_")


@pytest.mark.parametrize(
    "path",
    ["", "nothing", "/admin", "/admin/", "/admin//api/status", "status/more", "export", "export/x",
     "debug", "/admin/api/../api/status", "/admin/%ff"],
)  # fmt: skip
async def test_there_is_nothing_elsewhere(path: str) -> None:
    server = await World().call(path, headers={b"origin": b"https://chat.example.com"})
    assert server.status == 404
    assert set(server.json["error"]) == ERROR
    assert server.json["error"]["code"] == "not_found"
    assert not [name for name in server.headers if name.startswith(b"access-control-")]


async def test_answers_are_for_nobody_else() -> None:
    server = await World().call("status", headers={b"x-request-id": b"mine"})
    assert server.headers[b"x-request-id"] == b"mine"
    assert server.headers[b"cache-control"] == b"no-store"
    assert server.headers[b"content-type"] == b"application/json"
    assert server.headers[b"content-length"] == b"%d" % len(server.body)


@pytest.mark.parametrize(
    "path",
    ["requests", "requests/x", "audit", "usage", "costs", "health", "stats", "export/requests",
     "export/audit", "export/usage"],
)  # fmt: skip
async def test_where_nothing_is_on_record(path: str) -> None:
    server = await World().call(path)
    assert server.status == 404
    assert server.json["error"]["code"] == "store_off"
    assert "[store] url" in server.json["error"]["message"]


@pytest.mark.parametrize("path", ["requests", "requests/x", "audit", "stats", "export/requests"])
async def test_a_database_that_is_down_is_a_503(path: str, sqlite_database: Database) -> None:
    sqlite_database.close()
    world = World(sqlite_database)
    server = await world.call(path)
    assert server.status == StoreUnavailable.status
    assert server.json["error"]["code"] == "store_unavailable"
    assert server.headers[b"retry-after"] == b"5"


async def test_a_mistake_of_ours_is_answered_and_logged(
    sqlite_database: Database,
) -> None:
    sqlite_database.write_now(lambda connection: connection.exec_driver_sql("DROP TABLE audit"))
    with capture_logs() as lines:
        server = await World(sqlite_database).call("audit")
    assert server.status == 500
    assert server.json["error"]["code"] == "internal_error"
    assert "no such table" not in server.json["error"]["message"]
    (line,) = lines
    assert (line["event"], line["exc_info"]) == ("admin request failed", True)


async def test_a_body_that_nobody_needs_is_read(autojump_clock: MockClock) -> None:
    world = World()
    headers = {b"transfer-encoding": b"chunked"}
    server = Server((0, piece(b"{", more=True)), (1, piece(b"}")))
    await world.call("reload", "POST", headers=headers, server=server)
    assert server.status == 200
    server = Server((0, piece(b"x" * 100_000, more=True)), (1, piece(b"}")))
    await world.call("reload", "POST", headers=headers, server=server)
    assert server.status == 413
    server = Server((0, piece(b"{", more=True)))
    await world.call("reload", "POST", headers=headers, server=server)
    assert server.status == 408
    assert trio.current_time() >= 10
    assert world.control.causes == ["admin root"]


async def test_who_leaves_before_the_answer_gets_none() -> None:
    world = World()
    server = Server((0, {"type": "http.disconnect"}))
    await world.call("reload", "POST", headers={b"content-length": b"2"}, server=server)
    assert server.sent == []
    assert world.control.causes == []
    assert {event.action for event in world.events} == {AuditAction.SIGN_IN}


@pytest.mark.parametrize("key", [None, b"sk-wrong"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS"])
@pytest.mark.parametrize("path", ["nothing", "reload", "status", "requests/x", "/admin/", "/admin"])
async def test_a_stranger_is_not_told_what_there_is(
    path: str, method: str, key: bytes | None
) -> None:
    server = await World().call(path, method, key)
    assert server.status == 401
    assert b"allow" not in server.headers


async def test_no_body_of_a_stranger_is_waited_for(autojump_clock: MockClock) -> None:
    headers = {b"transfer-encoding": b"chunked"}
    server = Server((0, piece(b"{", more=True)))
    started = trio.current_time()
    await World().call("reload", "POST", b"sk-wrong", headers=headers, server=server)
    assert server.status == 401
    # Not more than it takes to throw away what is already on its way.
    assert trio.current_time() - started <= LINGER_SECONDS
    assert server.headers[b"connection"] == b"close"


# Pages, which are for people at browsers...

PAGE_TABLE = {
    ("GET", "/admin"): Right.FIGURES,
    ("GET", "/admin/users"): Right.USERS,
    ("POST", "/admin/users"): Right.USERS,
    ("GET", "/admin/sign-in"): Right.ANYONE,
}


async def page(request: AdminRequest) -> Response:
    name = None if request.visitor is None else request.visitor.name
    return Response(f"hello {name}", media_type="text/html")


def error_page(error: GatewayError, identity: Identity | None) -> Response:
    name = None if identity is None else identity.name
    return Response(f"{name}: {error.code}", error.status, media_type="text/html")


def pages(database: Database) -> World:
    world = World(database)
    new_user(database, "ann", "viewer")
    world.api = AdminApi(
        world.api._resources,
        [AdminRoute(method, path, page) for method, path in PAGE_TABLE] + all_routes(),
        table={**ROUTES, **PAGE_TABLE},
        error_page=error_page,
    )
    return world


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/admin", b"/admin/sign-in?next=%2Fadmin"),
        ("/admin/", b"/admin/sign-in?next=%2Fadmin"),
        ("/admin/users?q=a%26b", b"/admin/sign-in?next=%2Fadmin%2Fusers%3Fq%3Da%2526b"),
        # Whether there is such a page is not said.
        ("/admin/nothing", b"/admin/sign-in?next=%2Fadmin%2Fnothing"),
    ],
)
async def test_a_page_leads_to_the_sign_in(
    sqlite_database: Database, target: str, location: bytes
) -> None:
    world = pages(sqlite_database)
    for browser in (Browser(world), Browser(world)):
        server = await browser.call(target)
        assert (server.status, server.headers[b"location"]) == (303, location)
        browser.cookie = b"x" * 43
    server = await browser.call(target, headers={b"hx-request": b"true"})
    assert (server.status, server.headers[b"hx-redirect"]) == (401, location)
    assert b"location" not in server.headers
    assert (await browser.call("/admin/sign-in")).body == b"hello None"
    # The API has no pages.
    assert (await browser.call("status")).status == 401


async def test_a_page_knows_who_reads_it(sqlite_database: Database) -> None:
    browser = await signed_in(pages(sqlite_database), "ann")
    for target in ("/admin", "/admin/", "/admin/sign-in"):
        server = await browser.call(target)
        assert (server.status, server.body) == (200, b"hello ann")


@pytest.mark.parametrize(
    ("target", "method", "said"),
    [
        ("/admin/users", "GET", (403, b"ann: permission_denied")),
        ("/admin/nothing", "GET", (404, b"ann: not_found")),
        ("/admin", "DELETE", (405, b"ann: method_not_allowed")),
    ],
)
async def test_errors_are_shown_as_pages(
    sqlite_database: Database, target: str, method: str, said: tuple[int, bytes]
) -> None:
    browser = await signed_in(pages(sqlite_database), "ann")
    server = await browser.call(target, method)
    assert (server.status, server.body) == said
    browser.world.api._error_page = None
    server = await browser.call(target, method)
    assert f"ann: {server.json['error']['code']}".encode() == said[1]
    # Those of the API are not.
    assert (await browser.call("users")).json["error"]["code"] == "permission_denied"


async def test_a_form_of_somebody_who_is_signed_out(sqlite_database: Database) -> None:
    server = await Browser(pages(sqlite_database)).call("/admin/users", "POST")
    assert (server.status, server.body) == (401, b"None: invalid_api_key")
