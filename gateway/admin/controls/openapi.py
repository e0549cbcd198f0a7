"""The admin API as OpenAPI 3.1 says it, made of the routes themselves.

What a route does is its handler's docstring, who may call it its right. Bodies and answers have a
schema where they are Structs of ours; every other answer is JSON, and every error has one shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from starlette.responses import Response

from ... import __version__
from ...control.configuration import CheckedConfig, ComparedConfig, PastedConfig
from ...control.key_view import KeyView
from ...control.keys import KeyEdit, NewKey
from ...control.paging import NamePage
from ...control.spending import TeamState
from ...core.admin_path import outside
from ..in_flight import Cancelled, InFlightList
from ..request import AdminRequest, encoded
from ..rights import ROUTES, Right
from ..route import AdminRoute
from .deployments import DeploymentAnswer, DeploymentView, DrainRequest
from .keys import KeyAnswer, RotateRequest
from .processes import ProcessView

_JSON: Final = "application/json"
_Key = tuple[str, str]


class ErrorBody(msgspec.Struct, frozen=True):
    """What every error has; some have further members, such as `problems`."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorAnswer(msgspec.Struct, frozen=True):
    error: ErrorBody


_BODIES: Final[Mapping[_Key, Any]] = {
    ("POST", "keys"): NewKey,
    ("PATCH", "keys/{id:path}"): KeyEdit,
    ("POST", "keys/{id:path}/rotate"): RotateRequest,
    ("POST", "deployments/{id:path}/drain"): DrainRequest,
    ("POST", "config/check"): PastedConfig,
    ("POST", "config/diff"): PastedConfig,
}
# Bodies that may be left out, for what they say by default.
_OPTIONAL: Final = (RotateRequest, DrainRequest)
_CREATED: Final = {("POST", "keys")}
_ANSWERS: Final[Mapping[_Key, Any]] = {
    ("GET", "keys"): NamePage[KeyView],
    **{
        key: KeyAnswer
        for key in ROUTES
        if key[1].startswith("keys") and key != ("GET", "keys")
    },
    ("GET", "teams"): NamePage[TeamState],
    ("GET", "deployments"): NamePage[DeploymentView],
    **{key: DeploymentAnswer for key in ROUTES if key[1].startswith("deployments/")},
    ("GET", "processes"): NamePage[ProcessView],
    ("GET", "in-flight"): InFlightList,
    ("POST", "in-flight/{id:path}/cancel"): Cancelled,
    ("POST", "config/check"): CheckedConfig,
    ("POST", "config/diff"): ComparedConfig,
}  # fmt: skip


def document(routes: Sequence[AdminRoute]) -> dict[str, Any]:
    """Return the description of `routes`, those of pages left out."""
    types = [*dict.fromkeys([*_BODIES.values(), *_ANSWERS.values(), ErrorAnswer])]
    made, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    schemas = dict(zip(types, made, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if not route.is_page:
            path = outside(route.full_path.replace("{id:path}", "{id}"))
            paths.setdefault(path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The gateway's admin API",
            "version": __version__,
            "description": "docs/admin-api.md and docs/control.md say what all of it means.",
        },
        "security": [{"key": []}, {"session": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "gateway_session"},
            },
        },
    }


class OpenApiEndpoint:
    """Answers with the description of `routes`, itself among them."""

    def __init__(self) -> None:
        self.routes: Sequence[AdminRoute] = ()

    async def show(self, request: AdminRequest) -> Response:
        """Answer with this description."""
        request.only()
        return encoded(document(self.routes))


def _operation(route: AdminRoute, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    key = route.method, route.path
    right = ROUTES[key]
    found: dict[str, Any] = {
        "operationId": f"{route.method.lower()} {route.path}",
        "summary": _summary(route),
        "description": f"Needs the right `{right.value}`.",
        "responses": {
            "201" if key in _CREATED else "200": _content(schemas.get(_ANSWERS.get(key), {})),
            "default": _content(schemas[ErrorAnswer]),
        },
    }
    if right is Right.ANYONE:
        found["security"] = []
    if "{id" in route.path:
        found["parameters"] = [
            {
                "name": "id",
                "in": "path",
                "required": True,
                "description": "Percent-encoded; a slash may stand as it is.",
                "schema": {"type": "string"},
            }
        ]
    if key == ("PATCH", "keys/{id:path}"):
        found["parameters"].append(
            {"name": "if-match", "in": "header", "required": True, "schema": {"type": "string"}}
        )
    if (body := _BODIES.get(key)) is not None:
        found["requestBody"] = {
            "required": body not in _OPTIONAL,
            "content": {_JSON: {"schema": schemas[body]}},
        }
    return found


def _content(schema: Any) -> dict[str, Any]:
    return {"description": "JSON", "content": {_JSON: {"schema": schema}}}


def _summary(route: AdminRoute) -> str:
    lines = (route.handler.__doc__ or "").strip().splitlines()
    return lines[0] if lines else f"{route.method} {route.path}"
