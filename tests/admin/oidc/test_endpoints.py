"""A browser's way to the provider and back, and who it then is: on both databases."""

from __future__ import annotations

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.admin.oidc.endpoints import CALLBACK, NO_PASSWORD
from gateway.core.records.audit import AuditAction, AuditResult
from gateway.core.sign_in import AdminSettings
from gateway.store.accounts import users
from gateway.store.engine.database import Database
from tests.api.asgi import Server

from ..accounts.people import HOST, PASSWORD, Browser, new_user, signed_in
from ..world import World
from .scripted import SETTINGS, ScriptedProvider

pytestmark = pytest.mark.slow

START = "oidc/start?next=/admin/requests"


def world_with(
    database: Database, scripted: ScriptedProvider, *, pages: bool = False, **settings: str
) -> World:
    world = World(database, oidc_http=scripted)
    oidc = msgspec.structs.replace(SETTINGS, **settings)
    changed = AdminSettings(oidc=oidc, dashboard=pages)
    world.snapshot = msgspec.structs.replace(world.snapshot, admin_settings=changed)
    return world


class Visitor(Browser):
    """A browser that also keeps the cookie of the handshake."""

    handshake = b""

    async def begin(self, target: str = START) -> str:
        """Go to the provider; return its address."""
        server = await self.call(target)
        assert server.status == 303, server.body
        self.handshake = server.headers[b"set-cookie"].partition(b";")[0]
        self.cookie = None
        return server.headers[b"location"].decode()

    async def back(self, parameters: dict[str, str]) -> Server:
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        path = CALLBACK.removeprefix("/admin/api/")
        return await self.call(f"{path}?{query}", headers={b"cookie": self.handshake})


async def come(world: World, scripted: ScriptedProvider) -> tuple[Visitor, Server]:
    visitor = Visitor(world)
    server = await visitor.back(scripted.visit(await visitor.begin()))
    cookies = [value for name, value in server.sent[0][1]["headers"] if name == b"set-cookie"]
    if cookies:
        visitor.cookie = cookies[0].partition(b";")[0].partition(b"=")[2]
        assert cookies[1].startswith(b"gateway_oidc=; ")
    return visitor, server


def code(server: Server) -> tuple[int, str]:
    return server.status, server.json["error"]["code"]


async def test_who_comes_from_the_provider_is_signed_in(database: Database) -> None:
    scripted = ScriptedProvider()
    world = world_with(database, scripted)
    visitor, server = await come(world, scripted)
    assert (server.status, server.headers[b"location"]) == (303, b"/admin/requests")
    me = (await visitor.call("session")).json
    assert (me["name"], me["role"]) == ("ann", "operator")
    visitor.csrf = me["csrf_token"].encode()
    assert (await visitor.call("reload", "POST")).status == 200
    created, entered = world.events[:2]
    assert (created.action, created.target) == (AuditAction.USER_CREATED, "ann")
    assert created.details == {"new": {"role": "operator"}, "by": "oidc"}
    assert (entered.action, entered.actor) == (AuditAction.SIGN_IN, "ann")
    assert entered.details == {"by": "oidc"}
    # The next time it is the same user, with what the provider says then.
    scripted.claims |= {"preferred_username": "ann.b", "groups": ["ops", "none"]}
    again, _ = await come(world, scripted)
    me = (await again.call("session")).json
    assert (me["name"], me["role"]) == ("ann.b", "operator")
    found = database.read_now(users.all_users)
    assert [(user.name, user.version) for user in found] == [("ann.b", 2)]
    (changed,) = world.seen(AuditAction.USER_CHANGED)
    assert changed.details["old"] == {"name": "ann", "role": "operator"}
    assert changed.details["new"] == {"name": "ann.b", "role": "operator"}


async def test_who_has_lost_the_role_is_refused(database: Database) -> None:
    scripted = ScriptedProvider()
    world = world_with(database, scripted)
    await come(world, scripted)
    scripted.claims["groups"] = []
    _, server = await come(world, scripted)
    assert code(server) == (403, "oidc_no_role")
    refused = world.events[-1]
    assert (refused.action, refused.result) == (AuditAction.SIGN_IN, AuditResult.REFUSED)
    assert refused.details == {"why": "oidc_no_role"}


async def test_who_is_disabled_here_is_refused(database: Database) -> None:
    scripted = ScriptedProvider()
    world = world_with(database, scripted)
    visitor, _ = await come(world, scripted)
    (user,) = database.read_now(users.all_users)
    database.write_now(lambda c: users.change(c, user.id, now=1, disabled=True))
    assert (await visitor.call("status")).status == 401
    _, server = await come(world, scripted)
    assert code(server) == (403, "user_disabled")


async def test_the_name_of_another_user_is_not_taken_over(database: Database) -> None:
    scripted = ScriptedProvider()
    world = world_with(database, scripted)
    new_user(database, "ann", "admin")
    _, server = await come(world, scripted)
    assert code(server) == (403, "name_taken")
    # Nor later, under another name at first.
    scripted.claims["preferred_username"] = "bob"
    await come(world, scripted)
    scripted.claims["preferred_username"] = "ann"
    _, server = await come(world, scripted)
    assert code(server) == (403, "name_taken")
    found = {user.name: user.role for user in database.read_now(users.all_users)}
    assert found == {"ann": "admin", "bob": "operator"}


async def test_such_a_user_has_no_password(database: Database) -> None:
    scripted = ScriptedProvider()
    world = world_with(database, scripted)
    await come(world, scripted)
    for password in (NO_PASSWORD, PASSWORD, ""):
        assert (await Browser(world).sign_in("ann", password)).status == 401
    new_user(database, "root", "admin")
    root = await signed_in(world, "root")
    (user, _) = (await root.call("users")).json["rows"]
    server = await root.call(f"users/{user['id']}/password", "POST", {"password": PASSWORD})
    assert code(server) == (409, "external_user")
    assert (await Browser(world).sign_in("ann")).status == 401


# Other browsers, other answers...


async def test_an_answer_for_another_browser(sqlite_database: Database) -> None:
    scripted = ScriptedProvider()
    world = world_with(sqlite_database, scripted)
    mallory, ann = Visitor(world), Visitor(world)
    answer = scripted.visit(await mallory.begin())
    # A link with the attacker's code would sign ann in as the attacker.
    assert code(await ann.back(answer)) == (403, "oidc_state")
    await ann.begin()
    assert code(await ann.back(answer)) == (403, "oidc_state")
    # Nor does a stolen code help another browser.
    good = scripted.visit(await ann.begin())
    stolen = {**good, "state": answer["state"]}
    assert code(await mallory.back(stolen)) == (502, "oidc_failed")
    assert sqlite_database.read_now(users.all_users) == []


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({}, (403, "oidc_state")),
        ({"state": "x", "code": "y"}, (403, "oidc_state")),
        ({"error": "access_denied"}, (403, "oidc_state")),
    ],
)
async def test_an_answer_that_is_none(
    sqlite_database: Database, parameters: dict[str, str], why: tuple[int, str]
) -> None:
    visitor = Visitor(world_with(sqlite_database, ScriptedProvider()))
    await visitor.begin()
    assert code(await visitor.back(parameters)) == why


async def test_who_says_no_at_the_provider(sqlite_database: Database) -> None:
    scripted = ScriptedProvider()
    visitor = Visitor(world_with(sqlite_database, scripted))
    state = scripted.visit(await visitor.begin())["state"]
    server = await visitor.back({"state": state, "error": "access_denied"})
    assert code(server) == (403, "oidc_denied")


async def test_a_code_is_good_once(sqlite_database: Database) -> None:
    scripted = ScriptedProvider()
    visitor = Visitor(world_with(sqlite_database, scripted))
    answer = scripted.visit(await visitor.begin())
    assert (await visitor.back(answer)).status == 303
    assert code(await visitor.back(answer)) == (502, "oidc_failed")


async def test_the_sign_in_page_says_what_went_wrong(sqlite_database: Database) -> None:
    scripted = ScriptedProvider()
    world = world_with(sqlite_database, scripted, pages=True)
    scripted.down = True
    with capture_logs() as lines:
        server = await Browser(world).call(START)
    assert (server.status, server.headers[b"location"]) == (
        303, b"/admin/sign-in?error=oidc_failed"
    )  # fmt: skip
    assert lines[0]["error"] == "it cannot be reached"


@pytest.mark.parametrize(
    ("said", "redirect"),
    [
        ("", b"http%3A%2F%2F" + HOST),
        ("https://gw.x/admin/api/oidc/callback", b"https%3A%2F%2Fgw.x"),
    ],
)
async def test_our_address_as_the_provider_knows_it(
    sqlite_database: Database, said: str, redirect: bytes
) -> None:
    scripted = ScriptedProvider()
    world = world_with(sqlite_database, scripted, redirect_uri=said)
    url = (await Visitor(world).begin()).encode()
    assert b"&redirect_uri=" + redirect + b"%2Fadmin%2Fapi%2Foidc%2Fcallback&" in url


async def test_a_reload_changes_the_provider(sqlite_database: Database) -> None:
    scripted = ScriptedProvider()
    world = world_with(sqlite_database, scripted)
    assert "client_id=gateway&" in await Visitor(world).begin()
    world.snapshot = world_with(sqlite_database, scripted, client_id="other").snapshot
    assert "client_id=other&" in await Visitor(world).begin()


@pytest.mark.parametrize("path", ["oidc/start", "oidc/callback?code=x&state=y"])
async def test_without_a_provider_there_is_nothing(sqlite_database: Database, path: str) -> None:
    assert code(await Browser(World(sqlite_database)).call(path)) == (404, "oidc_off")
    assert code(await Browser(World()).call(path)) == (404, "oidc_off")
