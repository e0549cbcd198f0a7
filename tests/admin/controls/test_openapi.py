"""The description of the admin API: whole, as it is written down, and true of what is answered."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from gateway.admin.controls.openapi import document
from gateway.admin.request import AdminRequest
from gateway.admin.rights import ROUTES
from gateway.admin.routes import all_routes
from gateway.store.engine.database import Database
from gateway.store.queries import filters
from gateway.store.queries.filters import AuditFilter, Filter
from tests.admin.world import ADMIN

from .test_keys import CONFIG, call, make, world_of

WRITTEN: Final = Path(__file__).parents[3] / "docs" / "openapi.json"


def test_every_route_is_in_it_and_every_reference_leads_somewhere() -> None:
    found = document(all_routes())
    described = {
        (method.upper(), path) for path, methods in found["paths"].items() for method in methods
    }
    assert described == {
        (each.method, each.full_path.replace("{id:path}", "{id}"))
        for each in all_routes()
        if not each.is_page
    }
    for (method, path), right in ROUTES.items():
        if "oidc" in path or path.startswith("export/"):
            continue
        told = found["paths"]["/admin/api/" + path.replace("{id:path}", "{id}")][method.lower()]
        (done,) = [told["responses"][each] for each in ("200", "201") if each in told["responses"]]
        assert done["content"]["application/json"]["schema"], (method, path)
        assert f"`{right.value}`" in told["description"]
    text = json.dumps(found)
    for name in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert name in found["components"]["schemas"], name
    ids = [each["operationId"] for methods in found["paths"].values() for each in methods.values()]
    assert len(set(ids)) == len(ids)


def test_it_is_written_down_as_it_is() -> None:
    """`python -m gateway.admin.controls` writes it."""
    assert json.loads(WRITTEN.read_text()) == json.loads(json.dumps(document(all_routes())))


async def test_every_parameter_that_a_list_takes_is_in_it(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a handler takes is what it lets pass; a new one comes with its description."""
    taken: set[str] = set()
    only, parse, parse_audit = AdminRequest.only, filters.parse, filters.parse_audit

    def noting_only(self: AdminRequest, *names: str) -> None:
        taken.update(names)
        only(self, *names)

    def fields(kind: Any) -> set[str]:
        return {each.name for each in msgspec.structs.fields(kind)} - {"written"}

    def noting(params: Any, now: float, also: Collection[str] = ()) -> Filter:
        taken.update(fields(Filter), also)
        return parse(params, now, also)

    def noting_audit(params: Any, now: float, also: Collection[str] = ()) -> AuditFilter:
        taken.update(fields(AuditFilter), also)
        return parse_audit(params, now, also)

    monkeypatch.setattr(AdminRequest, "only", noting_only)
    monkeypatch.setattr(filters, "parse", noting)
    monkeypatch.setattr(filters, "parse_audit", noting_audit)
    world = world_of(sqlite_database, CONFIG)
    described = document(all_routes())["paths"]
    # Of figures, which are kept by few things, the filter's other fields are refused by name.
    figures = {"usage", "costs", "stats", "export/usage"}
    for method, path in ROUTES:
        # The identity provider adds to the way back what it likes.
        if method != "GET" or path in ("oidc/callback", "metrics"):
            continue
        taken.clear()
        await world.call(path.replace("{id:path}", "x").replace("{id}", "x"), key=ADMIN)
        told = described["/admin/api/" + path.replace("{id:path}", "{id}")]["get"]
        names = {each["name"] for each in told.get("parameters", ()) if each["in"] == "query"}
        if path in figures:
            assert names <= taken, path
            assert names >= taken - fields(Filter), path
        else:
            assert names == taken, path


def fits(value: Any, schema: Any, schemas: dict[str, Any]) -> bool:
    """Say whether a value is what a schema says, of as much of JSON Schema as there is in it."""
    if "$ref" in schema:
        return fits(value, schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return any(fits(value, each, schemas) for each in schema["anyOf"])
    kinds: dict[str, Any] = {
        "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
        "integer": int, "number": (int, float),
    }  # fmt: skip
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, list) and "items" in schema and schema["items"] is not False:
        return all(fits(each, schema["items"], schemas) for each in value)
    if isinstance(value, dict) and "properties" in schema:
        known = schema["properties"]
        whole = set(schema.get("required", ())) <= set(value)
        return whole and all(
            name in known and fits(each, known[name], schemas) for name, each in value.items()
        )
    return True


async def test_answers_are_what_it_says(sqlite_database: Database) -> None:
    world = world_of(sqlite_database, CONFIG)
    await make(world, "k", budget={"usd": 1.0}, labels={"a": "b"})
    status, found, _ = await call(world, "openapi.json")
    assert status == 200
    schemas = found["components"]["schemas"]
    for method, target, template, body in (
        ("GET", "keys", "keys", None),
        ("GET", "keys/k", "keys/{id}", None),
        ("GET", "keys/nobody", "keys/{id}", None),
        ("POST", "keys", "keys", {"name": "another"}),
        ("POST", "keys", "keys", {"name": ""}),
        ("POST", "keys/k/rotate", "keys/{id}/rotate", None),
        ("DELETE", "keys/k", "keys/{id}", None),
        ("POST", "teams", "teams", {"name": "t", "budget": {"usd": 2.0}}),
        ("GET", "teams", "teams", None),
        ("GET", "teams/t", "teams/{id}", None),
        ("DELETE", "teams/t", "teams/{id}", None),
        ("GET", "deployments", "deployments", None),
        ("POST", "deployments/p/x/drain", "deployments/{id}/drain", {"for": 5}),
        ("GET", "processes", "processes", None),
        ("GET", "in-flight", "in-flight", None),
        ("POST", "in-flight/x/cancel", "in-flight/{id}/cancel", None),
        ("POST", "config/check", "config/check", {"text": "x = 1"}),
        ("POST", "config/diff", "config/diff", {"text": ""}),
        ("GET", "requests", "requests", None),
        ("GET", "requests?nonsense=1", "requests", None),
        ("GET", "requests/no-such", "requests/{id}", None),
        ("GET", "audit", "audit", None),
        ("GET", "usage?group_by=model", "usage", None),
        ("GET", "costs", "costs", None),
        ("GET", "stats", "stats", None),
        ("GET", "health", "health", None),
        ("GET", "status", "status", None),
        ("GET", "debug/x", "debug/{id}", None),
        ("GET", "session", "session", None),
        ("DELETE", "session", "session", None),
        ("POST", "session", "session", {"name": "nobody", "password": "wrong"}),
        ("POST", "setup", "setup", {"token": "", "name": "x", "password": "y"}),
        ("GET", "users", "users", None),
        ("POST", "users", "users", {"name": "ann", "password": "correct horse battery"}),
        ("GET", "users/x", "users/{id}", None),
        ("PATCH", "users/x", "users/{id}", {"disabled": True}),
        ("GET", "users/x/sessions", "users/{id}/sessions", None),
        ("POST", "reload", "reload", None),
    ):
        status, answer, _ = await call(world, target, method, body)
        said = found["paths"][f"/admin/api/{template}"][method.lower()]["responses"]
        which = said[str(status)]
        if "$ref" in which:
            which = found["components"]["responses"]["Error"]
        schema = which["content"]["application/json"]["schema"]
        assert fits(answer, schema, schemas), (method, target, status, answer)
