"""Keys over HTTP: what is answered, and that nothing is changed behind another's back."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
import pytest
from sqlalchemy import select

from gateway.config.load import TokensFile, parse
from gateway.config.schema import Config
from gateway.core.limits.budget import Budget
from gateway.core.limits.ledger import Demand, Scope, ScopeLimits
from gateway.store.engine.database import Database
from gateway.store.engine.schema import audit
from tests.admin.world import World
from tests.api.asgi import Server, piece
from tests.api.control import Scripted

CONFIG: Final = parse(
    '[providers.p]\nkind = "demo"\n'
    '[[models]]\nname = "m"\nroutes = [{ provider = "p", model = "x" }]\n'
    '[[tokens]]\nname = "b-file"\nkey = "a-key-of-the-file"\nteam = "search"\n',
    "test",
    {},
    TokensFile('[[tokens]]\nname = "d-made"\nkey = "another-key-of-it"\nrpm = 3\n', "tokens.toml"),
)


def world_of(database: Database, config: Config = CONFIG) -> World:
    return World(database, control=Scripted(config=config))


async def call(
    world: World, target: str, method: str = "GET", body: object = None, **headers: str
) -> tuple[int, Any, dict[bytes, bytes]]:
    content = b"" if body is None else msgspec.json.encode(body)
    pairs = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    if content:
        pairs[b"content-length"] = b"%d" % len(content)
    server = await world.call(target, method, headers=pairs, server=Server((0, piece(content))))
    return server.status, json.loads(server.body or b"null"), dict(server.headers)


async def make(world: World, name: str, **fields: Any) -> dict[str, Any]:
    status, found, _ = await call(world, "keys", "POST", {"name": name, **fields})
    assert status == 201, found
    answer: dict[str, Any] = found
    return answer


def entries(database: Database) -> list[dict[str, Any]]:
    rows = database.read_now(
        lambda connection: connection.execute(select(audit).order_by(audit.c.id)).all()
    )
    return [dict(row._mapping) | {"details": json.loads(row.details)} for row in rows]


async def test_the_life_of_a_key(database: Database) -> None:
    world = world_of(database)
    status, made, headers = await call(
        world, "keys", "POST", {"name": "org/k", "rpm": 5, "labels": {"app": "chat"}}
    )
    assert (status, headers[b"etag"]) == (201, b'"v1"')
    assert headers[b"location"] == b"/admin/api/keys/org%2Fk"
    assert made["secret"].startswith("sk-gw-")
    assert made["key"]["source"] == "store"
    status, shown, headers = await call(world, "keys/org/k")
    assert (status, shown, headers[b"etag"]) == (200, {"key": made["key"]}, b'"v1"')

    status, changed, headers = await call(world, "keys/org/k", "PATCH", {"rpm": 9}, if_match='"v1"')
    assert (status, changed["key"]["rpm"], headers[b"etag"]) == (200, 9, b'"v2"')
    status, rotated, _ = await call(world, "keys/org/k/rotate", "POST", {"overlap_s": 60})
    assert (status, rotated["secret"] != made["secret"]) == (200, True)
    assert rotated["key"]["previous_until"] > rotated["key"]["changed"]
    for operation, state in (("disable", "disabled"), ("enable", "active")):
        status, found, _ = await call(world, f"keys/org/k/{operation}", "POST")
        assert (status, found["key"]["state"]) == (200, state)
    status, found, _ = await call(world, "keys/org/k", "DELETE")
    assert (status, found["key"]["state"]) == (200, "revoked")

    log = entries(database)
    assert [each["action"] for each in log] == [
        *("token_created", "token_changed", "token_rotated"),
        *("token_disabled", "token_enabled", "token_revoked"),
    ]
    assert {(each["actor"], each["client_ip"], each["target"]) for each in log} == {
        ("root", "192.0.2.7", "org/k")
    }
    assert log[1]["details"] == {"old": {"rpm": 5}, "new": {"rpm": 9}}
    written = json.dumps(log)
    assert made["secret"] not in written
    assert rotated["secret"] not in written


@pytest.mark.parametrize(
    ("method", "target", "body", "headers", "status", "code"),
    [
        ("PATCH", "keys/k", {"rpm": 1}, {}, 428, "if_match_required"),
        ("PATCH", "keys/k", {"rpm": 1}, {"if_match": '"v7"'}, 412, "changed_meanwhile"),
        ("POST", "keys/k/disable", None, {"if_match": '"v7"'}, 412, "changed_meanwhile"),
        ("PATCH", "keys/k", {"rpm": 0}, {"if_match": "*"}, 400, "invalid_request"),
        ("PATCH", "keys/k", {"name": "x"}, {"if_match": "*"}, 400, "invalid_request"),
        ("PATCH", "keys/b-file", {"rpm": 1}, {"if_match": "*"}, 409, "read_only"),
        ("DELETE", "keys/d-made", None, {}, 409, "read_only"),
        ("DELETE", "keys/nobody", None, {}, 404, "not_found"),
        ("GET", "keys/nobody", None, {}, 404, "not_found"),
        ("GET", "keys/%00", None, {}, 404, "not_found"),
        ("POST", "keys", {"name": "k"}, {}, 409, "conflict"),
        ("POST", "keys", {"name": "b-file"}, {}, 409, "conflict"),
        ("POST", "keys", {"name": "n", "key": "a-key-of-the-file"}, {}, 409, "conflict"),
        ("POST", "keys", {"name": "n", "budget": {"usd": -1}}, {}, 400, "invalid_request"),
        ("POST", "keys", {}, {}, 400, "invalid_request"),
        ("POST", "keys", {"name": "n" * 201}, {}, 400, "invalid_request"),
        ("POST", "keys/k/rotate", {"overlap_s": 1e12}, {}, 400, "invalid_request"),
        ("GET", "keys?state=sleeping", None, {}, 400, "invalid_request"),
        ("GET", "keys?cursor=nonsense", None, {}, 400, "invalid_request"),
        ("GET", "keys?limit=0", None, {}, 400, "invalid_request"),
        ("GET", "keys?nothing=1", None, {}, 400, "invalid_request"),
        ("PUT", "keys/k", None, {}, 405, "method_not_allowed"),
    ],
)
async def test_what_is_refused(
    sqlite_database: Database,
    method: str,
    target: str,
    body: object,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    world = world_of(sqlite_database)
    await make(world, "k")
    found, answer, _ = await call(world, target, method, body, **headers)
    assert (found, answer["error"]["code"]) == (status, code), answer
    # It has changed nothing, and says nothing of it either.
    assert len(entries(sqlite_database)) == 1


async def test_pages_of_files_and_database_by_name(database: Database) -> None:
    world = world_of(database)
    for name in ("a", "c", "é", "C", "b-file2"):
        await make(world, name, team="search" if name == "c" else "other")
    expected = sorted(["a", "c", "é", "C", "b-file2", "b-file", "d-made"])
    names: list[str] = []
    target = "keys?limit=2"
    while True:
        status, page, _ = await call(world, target)
        assert status == 200
        names += [row["name"] for row in page["rows"]]
        # What comes in meanwhile in front of the cursor moves nothing.
        if page["next"] is None:
            break
        target = f"keys?limit=2&cursor={page['next']}"
    assert names == expected
    status, page, _ = await call(world, "keys?team=search")
    assert [row["name"] for row in page["rows"]] == ["b-file", "c"]
    status, page, _ = await call(world, "keys?source=file")
    assert [(row["name"], row["source"], row["read_only"]) for row in page["rows"]] == [
        ("b-file", "/etc/gateway/config.toml", True),
        ("d-made", "/etc/gateway/tokens.toml", True),
    ]
    status, page, _ = await call(world, "keys?text=FILE&source=store")
    assert [row["name"] for row in page["rows"]] == ["b-file2"]


async def test_a_cursor_is_of_one_query(sqlite_database: Database) -> None:
    world = world_of(sqlite_database)
    _, page, _ = await call(world, "keys?limit=1")
    status, answer, _ = await call(world, f"keys?team=x&limit=1&cursor={page['next']}")
    assert (status, answer["error"]["param"]) == (400, "cursor")


async def test_what_is_spent_and_left(sqlite_database: Database) -> None:
    config = parse(
        '[providers.p]\nkind = "demo"\n'
        '[[models]]\nname = "m"\nroutes = [{ provider = "p", model = "x" }]\n'
        '[[teams]]\nname = "search"\nbudget = { usd = 3.0, window = "total" }\n'
        '[[teams]]\nname = "ads"\nrpm = 5\n',
        "test",
        {},
    )
    world = world_of(sqlite_database, config)
    made = await make(world, "k", budget={"usd": 1.0, "window": "day"})
    assert made["key"]["spending"]["left_nano_usd"] == 1_000_000_000
    scopes = (
        Scope("token:k", ScopeLimits(), Budget(usd=1.0, window="day")),
        Scope("team:search", ScopeLimits(), Budget(usd=3.0, window="total")),
    )
    limits = world.services.limits
    grant = await limits.admit(scopes, Demand(cost=100_000_000))
    await limits.settle(grant, 1, 250_000_000)
    await limits.admit(scopes, Demand(cost=100_000_000))
    for target in ("keys/k", "keys"):
        _, found, _ = await call(world, target)
        spending = (found["key"] if "key" in found else found["rows"][0])["spending"]
        assert 0 < spending.pop("resets_in_s") <= 86_400
        # The dearest of the last requests cost more than this one says it may.
        assert spending == {
            "limit_nano_usd": 1_000_000_000,
            "spent_nano_usd": 250_000_000,
            "reserved_nano_usd": 100_000_000,
            "left_nano_usd": 650_000_000,
        }
    _, found, _ = await call(world, "teams?limit=1")
    assert [(row["name"], row["rpm"], row["spending"]) for row in found["rows"]] == [
        ("ads", 5, None)
    ]
    _, found, _ = await call(world, f"teams?limit=1&cursor={found['next']}")
    assert found["rows"][0]["spending"]["spent_nano_usd"] == 250_000_000
    assert found["next"] is None


async def test_without_a_database_there_is_nothing_to_change(database: Database) -> None:
    world = World(None, control=Scripted(config=CONFIG))
    status, answer, _ = await call(world, "keys", "POST", {"name": "k"})
    assert (status, answer["error"]["code"]) == (404, "store_off")
    away = world_of(database)
    database.close()
    status, answer, headers = await call(away, "keys", "POST", {"name": "k"})
    assert (status, answer["error"]["code"]) == (503, "store_unavailable")
    assert b"retry-after" in headers


async def test_keys_can_be_asked_for_in_another_order(sqlite_database: Database) -> None:
    world = world_of(sqlite_database)
    for name in ("x", "y"):
        await make(world, name)
    status, found, _ = await call(world, "keys?sort=made&order=desc&source=store&limit=1")
    assert (status, found["rows"][0]["name"]) == (200, "y")
    _, found, _ = await call(
        world, f"keys?sort=made&order=desc&source=store&limit=1&cursor={found['next']}"
    )
    assert (found["rows"][0]["name"], found["next"]) == ("x", None)
    assert (await call(world, "keys?sort=colour"))[0] == 400
