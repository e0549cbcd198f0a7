"""One request of the dashboard: who may, which headers, forms of others, files, errors."""

from __future__ import annotations

import gzip
import re
from typing import Any
from urllib.parse import urlencode

import pytest

from gateway.admin.rights import OF_SCOPE, Right, Role
from gateway.api.client import AsgiClient
from gateway.api.request import api_key, content_length, has_body, headers_of, request_id
from gateway.config.schema import Config
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.records.audit import AuditAction
from gateway.dashboard.application import Dashboard
from gateway.dashboard.assets import read_assets
from gateway.dashboard.routes import ROUTES
from gateway.store.engine.database import Database
from tests.admin.accounts.people import PASSWORD, new_user
from tests.admin.world import ADMIN, PEER, World
from tests.api.asgi import Server, piece

ASSETS = read_assets()


class Site(World):
    """A dashboard, called in process."""

    def __init__(self, database: Database | None = None, **more: Any) -> None:
        super().__init__(database, **more)
        self.kept = database
        resources = self.api._resources
        self.dashboard = Dashboard(resources, ASSETS, Config)

    @property
    def database(self) -> Database:
        assert self.kept is not None
        return self.kept

    async def ask(
        self, target: str, method: str = "GET", body: str = "", scheme: str = "http", **headers: str
    ) -> Server:
        path, _, query = target.partition("?")
        pairs = [(name.replace("_", "-").encode(), value.encode())
                 for name, value in headers.items()]  # fmt: skip
        if body:
            pairs += [(b"content-type", b"application/x-www-form-urlencoded"),
                      (b"content-length", b"%d" % len(body))]  # fmt: skip
        server = Server((0, piece(body.encode())))
        scope: Any = {
            "type": "http", "method": method, "raw_path": path.encode(), "scheme": scheme,
            "query_string": query.encode(), "headers": pairs, "client": PEER,
        }  # fmt: skip
        found = headers_of(scope)
        client = AsgiClient(
            server.receive, server.send, request_id(found, b""), self.lifecycle, OPENAI_CHAT,
            has_body=has_body(found), content_length=content_length(found),
        )  # fmt: skip
        await self.dashboard.serve(scope, client, api_key(found))
        return server

    async def sign_in(self, name: str = "ann", password: str = PASSWORD, **more: str) -> Server:
        body = urlencode({"name": name, "password": password})
        return await self.ask("/admin/sign-in", "POST", body, **more)

    async def cookie(self, role: str = "admin") -> str:
        """Return the cookie of a new user's session; an admin's key, where nothing is kept."""
        new_user(self.database, f"new-{role}", role)
        answer = await self.sign_in(f"new-{role}")
        assert answer.status == 303, answer.body
        cookie: str = answer.headers[b"set-cookie"].decode().partition(";")[0]
        return cookie


@pytest.fixture
async def site(sqlite_database: Database) -> Site:
    return Site(sqlite_database)


async def test_a_stranger_sees_the_sign_in_page_and_nothing_else(site: Site) -> None:
    for path in ("/admin/", "/admin/requests", "/admin/none", "/admin/live/overview"):
        answer = await site.ask(path)
        assert answer.status == 303, path
        assert answer.headers[b"location"].startswith(b"/admin/sign-in")
    part = await site.ask("/admin/requests", hx_request="true")
    assert part.status == 401
    assert part.headers[b"hx-redirect"].startswith(b"/admin/sign-in")


async def test_every_answer_has_the_headers_that_keep_a_page_from_abuse(site: Site) -> None:
    cookie = await site.cookie()
    file = ASSETS.url("app.js")
    for path in ("/admin/", "/admin/none", "/admin/sign-in", "/admin/requests?a=b", file):
        answer = await site.ask(path, cookie=cookie)
        policy = answer.headers[b"content-security-policy"].decode()
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers[b"x-content-type-options"] == b"nosniff"
        assert answer.headers[b"cross-origin-opener-policy"] == b"same-origin"
        assert (b"no-store" in answer.headers[b"cache-control"]) is (path != file)


async def test_the_cookie_is_kept_from_scripts_and_from_plain_http_behind_tls(site: Site) -> None:
    new_user(site.database, "ann")
    plain = (await site.sign_in()).headers[b"set-cookie"]
    assert b"HttpOnly" in plain
    assert b"SameSite=Lax" in plain
    assert b"Secure" not in plain
    secure = await site.sign_in(scheme="https")
    assert b"Secure" in secure.headers[b"set-cookie"]


async def test_a_form_of_another_site_or_without_its_token_does_nothing(site: Site) -> None:
    cookie = await site.cookie()
    page = (await site.ask("/admin/settings", cookie=cookie)).body.decode()
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    body = urlencode({"csrf_token": found[1]})
    out = "/admin/sign-out"
    assert (await site.ask(out, "POST", "csrf_token=x", cookie=cookie)).status == 403
    answer = await site.ask(
        out, "POST", body, cookie=cookie, host="gw:1", origin="http://evil.example"
    )
    assert answer.status == 403
    assert (await site.ask(out, cookie=cookie)).status == 405
    assert not site.seen(AuditAction.SIGN_OUT)
    answer = await site.ask(out, "POST", body, cookie=cookie, host="gw:1", origin="http://gw:1")
    assert answer.status == 303
    assert b"Max-Age=0" in answer.headers[b"set-cookie"]
    assert site.seen(AuditAction.SIGN_OUT)


@pytest.mark.parametrize("target", ["https://e.org/", "//e.org/", "/admin//e.org", "/admin/\\e",
                                    "/v1/models", "/admin/\r\nx: y", ""])  # fmt: skip
async def test_after_a_sign_in_only_a_page_of_ours_is_gone_to(site: Site, target: str) -> None:
    new_user(site.database, "ann")
    body = urlencode({"name": "ann", "password": PASSWORD, "next": target})
    answer = await site.ask("/admin/sign-in", "POST", body)
    assert answer.headers[b"location"] == b"/admin/"


async def test_files_may_be_kept_for_good_and_are_compressed(site: Site) -> None:
    url = ASSETS.url("app.css")
    plain = await site.ask(url)
    assert plain.status == 200
    assert plain.headers[b"cache-control"] == b"public, max-age=31536000, immutable"
    packed = await site.ask(url, accept_encoding="br, gzip")
    assert gzip.decompress(packed.body) == plain.body
    etag = plain.headers[b"etag"].decode()
    again = await site.ask(url, if_none_match=etag)
    assert (again.status, again.body) == (304, b"")
    assert (await site.ask(url.replace("app.css", "none.css"))).status == 404
    assert (await site.ask("/admin/static/../../etc/passwd")).status == 404
    head = await site.ask(url, "HEAD")
    assert (head.status, head.body) == (200, b"")


async def test_without_a_store_pages_say_so_and_the_overview_still_works() -> None:
    # There can be no users: a key is asked with.
    site, key = Site(), f"Bearer {ADMIN.decode()}"
    assert (await site.ask("/admin/", authorization=key)).status == 200
    assert (await site.ask("/admin/settings", authorization=key)).status == 200
    assert b"There are no users" in (await site.ask("/admin/sign-in")).body
    answer = await site.ask("/admin/requests", authorization=key)
    assert answer.status == 404
    assert b"[store] url" in answer.body


@pytest.mark.parametrize("path", ["requests?status=x", "requests?cursor=x", "usage?period=x",
                                  "?range=x", "audit?action=x", "models?x=1", "debug?start=x",
                                  "requests?text=%00", "usage?user=x"])  # fmt: skip
async def test_a_wrong_filter_is_explained(path: str, sqlite_database: Database) -> None:
    site = Site(sqlite_database)
    answer = await site.ask(f"/admin/{path}", cookie=await site.cookie())
    assert answer.status == 400
    assert b"Show without filters" in answer.body


@pytest.mark.parametrize("path", ["requests", "requests?sort=cost&order=asc", "models", "usage",
                                  "usage?period=last-month&group_by=status", "audit?verify=1",
                                  "debug", "settings", "?range=30d", "", "playground",
                                  "in-flight", "settings/check"])  # fmt: skip
async def test_every_page_has_an_empty_state(path: str, sqlite_database: Database) -> None:
    site = Site(sqlite_database)
    answer = await site.ask(f"/admin/{path}", cookie=await site.cookie())
    assert answer.status == 200, answer.body.decode()
    # What is nothing now and was nothing before is no news.
    assert b">new<" not in answer.body


async def test_looks_are_written_down(sqlite_database: Database) -> None:
    site = Site(sqlite_database)
    cookie = await site.cookie()
    for path in ("requests", "audit", "usage", "debug"):
        await site.ask(f"/admin/{path}", cookie=cookie)
    looks = [each.target for each in site.seen(AuditAction.LOG_VIEWED)]
    assert looks == ["requests", "audit", "usage", "debug"]
    assert {each.actor for each in site.seen(AuditAction.LOG_VIEWED)} == {"new-admin"}


@pytest.mark.slow
async def test_every_page_can_be_seen_by_those_with_its_right_and_no_others(site: Site) -> None:
    cookies = {role: await site.cookie(role.value) for role in Role}
    walked = set()
    for route in ROUTES:
        if route.method != "GET" or route.right is Right.ANYONE or "live" in route.path:
            continue
        path = route.path.replace("{id:path}", "none").replace("/admin", "/admin/", 1)
        for role, cookie in cookies.items():
            answer = await site.ask(path.replace("//", "/"), cookie=cookie)
            allowed = route.right in OF_SCOPE[role.value]
            assert (answer.status != 403) is allowed, (path, role)
            walked.add(route.path)
        assert (await site.ask(path.replace("//", "/"))).status == 303
    assert len(walked) >= 10
    # And what a viewer cannot go to is not offered.
    page = (await site.ask("/admin/settings", cookie=cookies[Role.VIEWER])).body
    assert b'href="/admin/audit"' not in page
    assert b'href="/admin/debug"' not in page


async def test_a_wrong_password_is_said_to_be_one_and_the_name_is_kept(site: Site) -> None:
    new_user(site.database, "ann")
    answer = await site.sign_in('ann"><b>', "wrong password")
    assert answer.status == 401
    assert b"password is wrong" in answer.body
    assert b"<b>" not in answer.body
    assert b"&lt;b&gt;" in answer.body
    for _ in range(6):
        answer = await site.sign_in("ann", "wrong password")
    assert answer.status == 429
    assert b"try again in" in answer.body
    assert b"retry-after" in answer.headers


async def test_before_there_is_a_user_the_page_says_how_to_make_one(site: Site) -> None:
    assert b"gateway users create" in (await site.ask("/admin/sign-in")).body
    assert (await site.ask("/admin/setup?token=x")).status == 200
    new_user(site.database, "ann")
    # The link is good no longer: it leads to where people sign in, and to no form.
    used = await site.ask("/admin/setup?token=x")
    assert (used.status, used.headers[b"location"]) == (303, b"/admin/sign-in")


async def test_where_nobody_can_be_known_the_page_to_sign_in_says_why() -> None:
    """As in the demo, which has no configuration and keeps nothing."""
    site = Site(admins=False)
    for path in ("/admin/", "/admin/requests", "/admin/none"):
        answer = await site.ask(path)
        assert (answer.status, answer.headers[b"location"][:14]) == (303, b"/admin/sign-in"), path
    door = await site.ask("/admin/sign-in?next=%2Fadmin%2F")
    assert door.status == 200
    assert b"gateway init" in door.body
    assert (await site.ask("/admin/sign-out", "POST", "a=b")).status == 403
