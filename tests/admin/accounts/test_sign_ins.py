"""Signing in, sessions and their ends, lock-outs: on both databases."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
import pytest
import trio

from gateway.admin.accounts import passwords
from gateway.admin.accounts.tokens import csrf_token, digest_of, new_token
from gateway.core.records.audit import ActorKind, AuditAction, AuditResult
from gateway.core.sign_in import AdminSettings
from gateway.store.accounts import sessions
from gateway.store.engine.database import Database
from gateway.store.engine.schema import sessions as table
from gateway.store.engine.schema import users
from tests.api.asgi import Server

from ..world import PEER, World
from .people import HASH, PASSWORD, Browser, new_user, signed_in

pytestmark = pytest.mark.slow

MINUTE, HOUR = 60.0, 3600.0


class Clock:
    """Unix time that a test sets."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def begin(database: Database, clock: Clock) -> Callable[..., World]:
    def make(**settings: object) -> World:
        world = World(database, clock=clock)
        changed = AdminSettings(**settings)  # type: ignore[arg-type]  # each is one of its fields
        world.snapshot = msgspec.structs.replace(world.snapshot, admin_settings=changed)
        return world

    return make


def rows(database: Database) -> list[str]:
    def work(connection: object) -> list[str]:
        return list(connection.scalars(table.select().with_only_columns(table.c.digest)))  # type: ignore[attr-defined]

    return database.read_now(work)


async def test_who_signs_in_gets_a_cookie_and_says_who_it_is(
    database: Database, begin: Callable[..., World], clock: Clock
) -> None:
    world = begin()
    new_user(database, "ann", "analyst")
    browser = Browser(world)
    server = await browser.sign_in("ann")
    assert server.status == 200
    assert server.json == {
        "name": "ann",
        "kind": "user",
        "role": "analyst",
        "rights": ["anyone", "audit", "content", "figures", "metrics", "signed_in"],
        "csrf_token": csrf_token((browser.cookie or b"").decode()),
        "created": round(clock.now * 1e6),
        "expires": round((clock.now + 24 * HOUR) * 1e6),
    }
    (cookie,) = browser.set_cookies
    assert re.fullmatch(
        rb"gateway_session=[\w-]{43}; Path=/admin; Max-Age=86400; HttpOnly; SameSite=Lax", cookie
    )
    assert (await browser.call("session")).json == server.json
    # Only its hash is kept.
    assert rows(database) == [digest_of((browser.cookie or b"").decode())]
    (event,) = world.events
    assert (event.action, event.result) == (AuditAction.SIGN_IN, AuditResult.OK)
    assert (event.actor_kind, event.actor, event.client_ip) == (ActorKind.USER, "ann", PEER[0])


async def test_names_are_the_same_in_any_case_and_forms_do_as_well(
    database: Database, begin: Callable[..., World]
) -> None:
    world = begin()
    new_user(database, "ann")
    assert (await Browser(world).sign_in(" Ann ")).status == 200
    server = await Browser(world).call(
        "session",
        "POST",
        body=b"name=ann&password=" + PASSWORD.replace(" ", "+").encode(),
        headers={b"content-type": b"application/x-www-form-urlencoded"},
    )
    assert server.status == 200


@pytest.mark.parametrize("body", [b"name=ann", b"name=a&name=b&password=x", b"%"])
async def test_a_form_that_is_none(begin: Callable[..., World], body: bytes) -> None:
    headers = {b"content-type": b"application/x-www-form-urlencoded"}
    server = await Browser(begin()).call("session", "POST", body=body, headers=headers)
    assert (server.status, server.json["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ann", "wrong horse battery"),
        ("ann", ""),
        ("ann", PASSWORD + " "),
        ("ann", PASSWORD * 1000),
        ("nobody", PASSWORD),
        ("off", PASSWORD),
        ("", PASSWORD),
        ("ann\0", PASSWORD),
        ("ann' or 1=1 --", PASSWORD),
        ("x" * 10_000, PASSWORD),
        ("änn", PASSWORD),
    ],
)
async def test_what_is_wrong_is_not_said(
    database: Database, begin: Callable[..., World], name: str, password: str
) -> None:
    world = begin()
    new_user(database, "ann")
    off = new_user(database, "off")
    database.write_now(
        lambda connection: connection.execute(
            users.update().where(users.c.id == off.id).values(disabled=True)
        )
    )
    browser = Browser(world)
    server = await browser.sign_in(name, password)
    assert server.status == 401
    assert server.json["error"]["code"] == "sign_in_failed"
    assert server.json["error"]["message"] == "the name or the password is wrong"
    assert browser.set_cookies == []
    assert rows(database) == []
    (event,) = world.events
    assert (event.action, event.result) == (AuditAction.SIGN_IN, AuditResult.REFUSED)
    # What is no user's name may be a password.
    assert event.actor == (name if name in ("ann", "off") else None)
    assert event.target is None
    assert PASSWORD not in repr(event)


async def test_a_name_that_is_not_there_costs_the_same_work(
    database: Database, begin: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []

    def matches(password: str, expected: str) -> bool:
        compared.append(expected)
        return False

    monkeypatch.setattr(passwords, "matches_now", matches)
    new_user(database, "ann")
    for name in ("ann", "nobody"):
        assert (await Browser(begin()).sign_in(name)).status == 401
    assert compared == [HASH, passwords.DECOY]


# The ends of sessions...


async def test_a_session_ends_when_it_is_not_used(
    database: Database, begin: Callable[..., World], clock: Clock
) -> None:
    world = begin(session_idle_minutes=30, session_hours=2)
    new_user(database, "ann")
    browser = await signed_in(world, "ann")
    for _ in range(3):
        clock.now += 29 * MINUTE
        assert (await browser.call("status")).status == 200
    clock.now += 30 * MINUTE
    assert (await browser.call("status")).status == 401


async def test_a_session_ends_however_much_it_is_used(
    database: Database, begin: Callable[..., World], clock: Clock
) -> None:
    world = begin(session_idle_minutes=30, session_hours=1)
    new_user(database, "ann")
    browser = await signed_in(world, "ann")
    for _ in range(3):
        clock.now += 19 * MINUTE
        assert (await browser.call("status")).status == 200
    clock.now += 3 * MINUTE
    assert (await browser.call("status")).status == 401
    # What is over is taken out at the next sign-in.
    await signed_in(world, "ann")
    assert len(rows(database)) == 1


async def test_signing_out(database: Database, begin: Callable[..., World]) -> None:
    world = begin()
    new_user(database, "ann")
    browser, other = await signed_in(world, "ann"), await signed_in(world, "ann")
    stolen = browser.cookie
    server = await browser.call("session", "DELETE")
    assert (server.status, server.json) == (200, {"sessions_ended": 1})
    assert browser.set_cookies[-1].startswith(b"gateway_session=; Path=/admin; Max-Age=0; HttpOnly")
    browser.cookie = stolen
    assert (await browser.call("status")).status == 401
    assert (await other.call("status")).status == 200
    (event,) = world.seen(AuditAction.SIGN_OUT)
    assert (event.actor, event.client_ip, event.details) == ("ann", PEER[0], {})


async def test_signing_out_everywhere(database: Database, begin: Callable[..., World]) -> None:
    world = begin()
    new_user(database, "ann")
    new_user(database, "bob")
    first, second = await signed_in(world, "ann"), await signed_in(world, "ann")
    bob = await signed_in(world, "bob")
    server = await first.call("session?everywhere=true", "DELETE")
    assert server.json == {"sessions_ended": 2}
    assert [(await each.call("status")).status for each in (second, bob)] == [401, 200]
    (event,) = world.seen(AuditAction.SIGN_OUT)
    assert event.details == {"everywhere": True, "sessions": 2}


async def test_a_new_password_of_ones_own(database: Database, begin: Callable[..., World]) -> None:
    world = begin()
    new_user(database, "ann")
    browser, other = await signed_in(world, "ann"), await signed_in(world, "ann")
    old = browser.cookie
    new = "a wholly new password"
    path = "users/me/password"
    server = await browser.call(path, "POST", {"current": "wrong", "password": new})
    assert (server.status, server.json["error"]["code"]) == (403, "wrong_password")
    server = await browser.call(path, "POST", {"current": PASSWORD, "password": "ann"})
    assert (server.status, server.json["error"]["param"]) == (400, "password")
    server = await browser.call(path, "POST", {"current": PASSWORD, "password": new})
    assert server.status == 200
    assert browser.cookie != old
    assert (await browser.call("status")).status == 200
    assert (await other.call("status")).status == 401
    browser.cookie = old
    assert (await browser.call("status")).status == 401
    assert (await Browser(world).sign_in("ann")).status == 401
    assert (await Browser(world).sign_in("ann", new)).status == 200
    results = [event.result for event in world.seen(AuditAction.PASSWORD_CHANGED)]
    assert results == [AuditResult.REFUSED, AuditResult.OK]
    assert not any(secret in repr(world.events) for secret in (PASSWORD, new, HASH))


async def test_a_session_cannot_be_used_to_guess_its_password(
    database: Database, begin: Callable[..., World]
) -> None:
    world = begin()
    new_user(database, "ann")
    browser = await signed_in(world, "ann")
    wrong = {"current": "wrong", "password": "a wholly new password"}
    codes = [(await browser.call("users/me/password", "POST", wrong)).status for _ in range(7)]
    assert codes == [403] * 5 + [429] * 2


async def test_the_oldest_of_too_many_sessions_ends(
    database: Database, begin: Callable[..., World], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST", 3)
    world = begin()
    new_user(database, "ann")
    browsers = []
    for _ in range(5):
        clock.now += 1
        browsers.append(await signed_in(world, "ann"))
    statuses = [(await each.call("status")).status for each in browsers]
    assert statuses == [401, 401, 200, 200, 200]


# Theft and fixation...


async def test_a_sign_in_takes_a_new_token_and_ends_the_old_one(
    database: Database, begin: Callable[..., World]
) -> None:
    world = begin()
    new_user(database, "ann")
    browser = Browser(world)
    # An attacker has planted a token that it knows.
    planted = browser.cookie = new_token().encode()
    assert (await browser.sign_in("ann")).status == 200
    assert browser.cookie != planted
    thief = Browser(world)
    thief.cookie = planted
    assert (await thief.call("status")).status == 401
    # Nor does a token that was good before the sign-in stay good.
    before = thief.cookie = browser.cookie
    assert (await browser.sign_in("ann")).status == 200
    assert before != browser.cookie
    assert (await thief.call("status")).status == 401


async def test_a_second_cookie_of_that_name_makes_neither_count(
    database: Database, begin: Callable[..., World]
) -> None:
    world = begin()
    new_user(database, "ann")
    new_user(database, "mallory")
    browser, mallory = await signed_in(world, "ann"), await signed_in(world, "mallory")
    assert browser.cookie is not None
    assert mallory.cookie is not None
    for first, second in ((browser.cookie, mallory.cookie), (mallory.cookie, browser.cookie)):
        headers = {b"cookie": b"gateway_session=%s; gateway_session=%s" % (first, second)}
        assert (await browser.call("session", headers=headers)).status == 401
    twice = {b"cookie": b"gateway_session=%s; gateway_session=%s" % ((browser.cookie,) * 2)}
    assert (await browser.call("session", headers=twice)).status == 200


async def test_what_is_in_the_database_is_no_token(
    database: Database, begin: Callable[..., World]
) -> None:
    world = begin()
    new_user(database, "ann")
    await signed_in(world, "ann")
    thief = Browser(world)
    for stolen in (*rows(database), HASH):
        thief.cookie = stolen.encode()
        assert (await thief.call("status")).status == 401
        assert (await thief.call("status", key=stolen.encode())).status == 401


async def test_a_token_is_no_key_and_a_key_no_token(
    database: Database, begin: Callable[..., World]
) -> None:
    world = begin()
    new_user(database, "ann")
    browser = await signed_in(world, "ann")
    token, browser.cookie = browser.cookie, b"sk-admin"
    assert (await browser.call("status")).status == 401
    assert (await browser.call("status", key=token)).status == 401


# Other sites...

CHANGES = [
    ("session", "DELETE"),
    ("reload", "POST"),
    ("users", "POST"),
    ("users/usr_0", "PATCH"),
    ("users/me/password", "POST"),
]


@pytest.mark.parametrize(("target", "method"), CHANGES)
async def test_a_change_needs_the_csrf_token_and_our_origin(
    database: Database, begin: Callable[..., World], target: str, method: str
) -> None:
    world = begin()
    new_user(database, "ann", "admin")
    new_user(database, "mallory", "admin")
    browser, mallory = await signed_in(world, "ann"), await signed_in(world, "mallory")
    good = browser.csrf

    async def code() -> str:
        server = await browser.call(target, method)
        assert server.status == 403
        return str(server.json["error"]["code"])

    browser.csrf = None
    assert await code() == "csrf_token_missing"
    for wrong in (mallory.csrf, browser.cookie, b"x", (good or b"")[:-1]):
        browser.csrf = wrong
        assert await code() == "csrf_token_wrong"
    browser.csrf = good
    for origin in (b"https://evil.example", b"null", b"http://gateway.example.com:81"):
        browser.origin = origin
        assert await code() == "cross_origin"
    assert world.control.causes == []
    assert (await browser.call("status")).status == 200
    # Other programs than browsers name no origin.
    browser.origin = None
    assert (await browser.call(target, method)).status != 403


async def test_a_forms_field_may_have_the_csrf_token(
    database: Database, begin: Callable[..., World]
) -> None:
    world = begin()
    new_user(database, "ann", "operator")
    browser = await signed_in(world, "ann")
    token, browser.csrf = browser.csrf or b"", None
    form = {b"content-type": b"application/x-www-form-urlencoded; charset=utf-8"}
    for body, status in (
        (b"csrf_token=x", 403),
        (b"a=\xff&csrf_token=" + token, 403),
        (b"a=b&csrf_token=" + token, 200),
    ):
        server = await browser.call("reload", "POST", body=body, headers=form)
        assert server.status == status
    # In any other type of body it counts for nothing.
    server = await browser.call("reload", "POST", body=b"csrf_token=" + token)
    assert server.status == 403


async def test_no_other_site_signs_anybody_in(
    database: Database, begin: Callable[..., World]
) -> None:
    new_user(database, "ann")
    browser = Browser(begin())
    browser.origin = b"https://evil.example"
    server = await browser.sign_in("ann")
    assert (server.status, server.json["error"]["code"]) == (403, "cross_origin")
    assert rows(database) == []


async def test_keys_need_no_csrf_token(begin: Callable[..., World]) -> None:
    world = begin()
    server = await world.call("reload", "POST", headers={b"origin": b"https://script.example"})
    assert server.status == 200


# Behind a proxy...


async def test_behind_a_proxy_with_tls(database: Database, begin: Callable[..., World]) -> None:
    world = begin(trusted_proxies=("192.0.2.0/24",))
    new_user(database, "ann")
    browser = Browser(world)
    browser.origin = b"https://gw.example.com"
    said = {
        b"x-forwarded-for": b"198.51.100.7",
        b"x-forwarded-proto": b"https",
        b"x-forwarded-host": b"gw.example.com",
    }
    value = {"name": "ann", "password": PASSWORD}
    server = await browser.call("session", "POST", value, headers=said)
    assert server.status == 200
    assert browser.set_cookies[0].endswith(b"; SameSite=Lax; Secure")
    assert world.events[0].client_ip == "198.51.100.7"
    assert (await browser.call("session", "DELETE", headers=said)).status == 200
    assert browser.set_cookies[1].endswith(b"; Secure")


async def test_what_a_stranger_forwards_is_not_believed(
    database: Database, begin: Callable[..., World]
) -> None:
    world = begin()
    new_user(database, "ann")
    browser = Browser(world)
    said = {b"x-forwarded-for": b"198.51.100.7", b"x-forwarded-proto": b"https"}
    await browser.call("session", "POST", {"name": "ann", "password": PASSWORD}, headers=said)
    assert not browser.set_cookies[0].endswith(b"Secure")
    assert world.events[0].client_ip == PEER[0]


# Lock-outs...


async def fail(world: World, name: str, address: str) -> Server:
    return await Browser(world, (address, 1)).sign_in(name, "wrong horse battery")


@pytest.mark.parametrize("name", ["ann", "nobody"])
async def test_an_account_is_locked_wherever_the_failures_come_from(
    database: Database, begin: Callable[..., World], clock: Clock, name: str
) -> None:
    world = begin()
    new_user(database, "ann")
    statuses = [(await fail(world, name, f"192.0.2.{n}")).status for n in range(6)]
    assert statuses == [401] * 5 + [429]
    # In another process, too, and with the right password.
    other = begin()
    server = await Browser(other, ("192.0.2.99", 1)).sign_in(name)
    assert (server.status, server.json["error"]["code"]) == (429, "rate_limit_exceeded")
    assert server.headers[b"retry-after"] == b"30"
    assert [event.details["why"] for event in other.events] == ["locked"]
    clock.now += 30
    # Each further failure doubles the wait.
    assert (await fail(world, name, "192.0.2.1")).status == 401
    assert (await fail(world, name, "192.0.2.1")).headers[b"retry-after"] == b"60"
    clock.now += 60
    assert (await Browser(world).sign_in(name)).status == (200 if name == "ann" else 401)


async def test_a_success_begins_the_count_of_an_account_anew(
    database: Database, begin: Callable[..., World]
) -> None:
    world = begin()
    new_user(database, "ann")
    for _ in range(3):
        for _ in range(4):
            assert (await fail(world, "ann", "192.0.2.1")).status == 401
        assert (await Browser(world, ("192.0.2.1", 1)).sign_in("ann")).status == 200


async def test_an_address_is_locked_whatever_accounts_it_tries(
    database: Database, begin: Callable[..., World], clock: Clock
) -> None:
    world = begin()
    new_user(database, "ann")
    statuses = [(await fail(world, f"user{n}", "2001:db8::1")).status for n in range(21)]
    assert statuses == [401] * 20 + [429]
    # The same host under another of its addresses.
    assert (await Browser(world, ("2001:db8::2", 1)).sign_in("ann")).status == 429
    assert (await Browser(world, ("2001:db8:1::1", 1)).sign_in("ann")).status == 200
    clock.now += 30
    assert (await Browser(world, ("2001:db8::2", 1)).sign_in("ann")).status == 200
    # One success does not pay for other failures.
    assert (await fail(world, "user0", "2001:db8::1")).status == 401
    assert (await fail(world, "user1", "2001:db8::1")).status == 429


async def test_failures_at_the_same_time_all_count(
    database: Database, begin: Callable[..., World]
) -> None:
    world, other = begin(), begin()
    new_user(database, "ann")
    statuses: list[int] = []

    async def guess(number: int) -> None:
        server = await fail(other if number % 2 else world, "ann", f"192.0.2.{number}")
        statuses.append(server.status)

    async with trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(guess, number)
    assert sorted(statuses) == [401] * 5 + [429] * 7


async def test_what_is_locked_costs_no_hash(
    database: Database, begin: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = begin()
    for n in range(5):
        await fail(world, "ann", f"192.0.2.{n}")
    monkeypatch.delattr(passwords, "matches_now")
    assert (await fail(world, "ann", "192.0.2.9")).status == 429


# A change of the user counts at once...


async def test_a_new_role_holds_from_the_next_request_on(
    database: Database, begin: Callable[..., World]
) -> None:
    world = begin()
    user = new_user(database, "ann", "operator")
    browser = await signed_in(world, "ann")
    assert (await browser.call("reload", "POST")).status == 200
    database.write_now(
        lambda connection: connection.execute(
            users.update().where(users.c.id == user.id).values(role="viewer")
        )
    )
    assert (await browser.call("reload", "POST")).status == 403
    assert (await browser.call("status")).status == 200


async def test_without_a_database_there_are_no_users() -> None:
    server = await Browser(World()).sign_in("ann")
    assert (server.status, server.json["error"]["code"]) == (404, "store_off")


async def test_with_the_database_down(sqlite_database: Database) -> None:
    world = World(sqlite_database)
    new_user(sqlite_database, "ann")
    browser = await signed_in(world, "ann")
    sqlite_database.close()
    assert (await browser.call("status")).status == 503
    assert (await Browser(world).sign_in("ann")).status == 503
    # Keys need none.
    assert (await world.call("status")).status == 200


async def test_views_and_changes_are_on_record_by_the_users_name(
    database: Database, begin: Callable[..., World]
) -> None:
    world = begin()
    new_user(database, "ann", "admin")
    browser = await signed_in(world, "ann")
    await browser.call("audit")
    await browser.call("export/usage")
    await browser.call("reload", "POST")
    assert world.control.causes == ["user ann"]
    actions = [
        AuditAction.SIGN_IN,
        AuditAction.LOG_VIEWED,
        AuditAction.EXPORTED,
        AuditAction.CONFIG_RELOADED,
    ]
    assert [event.action for event in world.events] == actions
    for event in world.events:
        assert (event.actor_kind, event.actor) == (ActorKind.USER, "ann")
        assert event.client_ip == PEER[0]
