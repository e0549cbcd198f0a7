"""Teams over HTTP: what is answered, and that nothing is changed behind another's back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.config.load import parse
from gateway.store.engine.database import Database

from .test_keys import CONFIG, call, entries, make, world_of

WITH_TEAM = parse(
    '[providers.p]\nkind = "demo"\n'
    '[[models]]\nname = "m"\nroutes = [{ provider = "p", model = "x" }]\n'
    '[[teams]]\nname = "of-file"\nrpm = 7\n',
    "test",
    {},
)


async def test_the_life_of_a_team(sqlite_database: Database) -> None:
    world = world_of(sqlite_database)
    await make(world, "k", team="org/search")
    status, made, headers = await call(
        world, "teams", "POST", {"name": "org/search", "rpm": 5, "budget": {"usd": 2.5}}
    )
    assert (status, made["team"]["members"]) == (201, 1)
    assert headers[b"location"] == b"/admin/api/teams/org%2Fsearch"
    tag = headers[b"etag"].decode()
    assert made["team"]["spending"]["left_nano_usd"] == 2_500_000_000
    status, shown, headers = await call(world, "teams/org/search")
    for found in (shown, made):
        assert 0 < found["team"]["spending"].pop("resets_in_s") < 32 * 86_400
    assert (status, shown) == (200, made)
    status, changed, headers = await call(
        world, "teams/org/search", "PATCH", {"budget": None, "tpm": 9}, if_match=tag
    )
    assert (status, changed["team"]["budget"], changed["team"]["tpm"]) == (200, None, 9)
    assert headers[b"etag"].decode() != tag
    status, found, _ = await call(world, "teams/org/search", "PATCH", {"rpm": 1}, if_match=tag)
    assert (status, found["error"]["code"]) == (412, "changed_meanwhile")
    status, found, _ = await call(world, "teams/org/search", "DELETE", if_match=tag)
    assert (status, found["error"]["code"]) == (412, "changed_meanwhile")
    assert (await call(world, "teams/org/search", "DELETE"))[0] == 200
    # Its keys have its name still.
    status, found, _ = await call(world, "teams/org/search")
    assert (status, found["team"]["source"], found["team"]["members"]) == (200, "keys", 1)
    log = [each["action"] for each in entries(sqlite_database)]
    assert log == ["token_created", "team_created", "team_changed", "team_deleted"]


@pytest.mark.parametrize(
    ("method", "target", "body", "headers", "status", "code"),
    [
        ("PATCH", "teams/t", {"rpm": 1}, {}, 428, "if_match_required"),
        ("PATCH", "teams/t", {"rpm": 0}, {"if_match": "*"}, 400, "invalid_request"),
        ("PATCH", "teams/t", {"name": "x"}, {"if_match": "*"}, 400, "invalid_request"),
        ("PATCH", "teams/of-file", {"rpm": 1}, {"if_match": "*"}, 409, "read_only"),
        ("DELETE", "teams/of-file", None, {}, 409, "read_only"),
        ("DELETE", "teams/nobody", None, {}, 404, "not_found"),
        ("GET", "teams/nobody", None, {}, 404, "not_found"),
        ("GET", "teams/%00", None, {}, 404, "not_found"),
        ("POST", "teams", {"name": "t"}, {}, 409, "conflict"),
        ("POST", "teams", {"name": "of-file"}, {}, 409, "conflict"),
        ("POST", "teams", {"name": "n", "budget": {"usd": -1}}, {}, 400, "invalid_request"),
        ("POST", "teams", {}, {}, 400, "invalid_request"),
        ("POST", "teams", {"name": "n" * 201}, {}, 400, "invalid_request"),
        ("GET", "teams?cursor=nonsense", None, {}, 400, "invalid_request"),
        ("GET", "teams?limit=0", None, {}, 400, "invalid_request"),
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
    world = world_of(sqlite_database, WITH_TEAM)
    assert (await call(world, "teams", "POST", {"name": "t", "rpm": 3}))[0] == 201
    found, answer, _ = await call(world, target, method, body, **headers)
    assert (found, answer["error"]["code"]) == (status, code), answer
    assert len(entries(sqlite_database)) == 1


async def test_pages_by_name(sqlite_database: Database) -> None:
    world = world_of(sqlite_database, CONFIG)
    for name in ("a", "c", "é", "C"):
        await call(world, "teams", "POST", {"name": name})
    names: list[str] = []
    target = "teams?limit=2"
    while True:
        status, page, _ = await call(world, target)
        assert status == 200
        names += [each["name"] for each in page["rows"]]
        if page["next"] is None:
            break
        target = f"teams?limit=2&cursor={page['next']}"
    # That of the file's tokens among them.
    assert names == sorted(["a", "c", "é", "C", "search"])
    status, page, _ = await call(world, "teams?text=C")
    assert [each["name"] for each in page["rows"]] == ["C", "c", "search"]
    found: Any = json.dumps(page)
    assert "cursor" not in found
