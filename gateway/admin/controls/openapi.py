"""The admin API as OpenAPI 3.1 says it, made of the routes themselves.

What a route does is its handler's docstring, who may call it its right; what it takes and
answers is in `described.py`. Every error has one shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from starlette.responses import Response

from ... import __version__
from ...core.admin_path import outside
from ..request import AdminRequest, encoded
from ..rights import ROUTES, Right
from ..route import AdminRoute
from .described import (
    ANSWERS,
    BODIES,
    MEDIA,
    OPTIONAL,
    SUCCESSES,
    RouteKey,
    errors_of,
    parameters_of,
)

_JSON: Final = "application/json"
_REFUSED: Final = "#/components/responses/Error"


class ErrorBody(msgspec.Struct, frozen=True):
    """What every error has; some have further members, such as `problems`."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorAnswer(msgspec.Struct, frozen=True):
    error: ErrorBody


def document(routes: Sequence[AdminRoute]) -> dict[str, Any]:
    """Return the description of `routes`, those of pages left out."""
    types = [*dict.fromkeys([*BODIES.values(), *ANSWERS.values(), ErrorAnswer])]
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
            "responses": {"Error": _content("Refused", schemas[ErrorAnswer])},
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
            **{status: _success(key, status, schemas) for status in SUCCESSES.get(key, ("200",))},
            **{status: {"$ref": _REFUSED} for status in errors_of(key)},
        },
    }
    if right is Right.ANYONE:
        found["security"] = []
    if parameters := parameters_of(key):
        found["parameters"] = parameters
    if (body := BODIES.get(key)) is not None:
        found["requestBody"] = {
            "required": body not in OPTIONAL,
            "content": {_JSON: {"schema": schemas[body]}},
        }
    return found


def _success(key: RouteKey, status: str, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    if status == "303":
        return {"description": "On to another page"}
    if key in MEDIA:
        content: dict[str, Any] = {kind: {} for kind in MEDIA[key]}
        return {"description": "A file", "content": content}
    return _content("Done", schemas[ANSWERS[key]] if key in ANSWERS else {})


def _content(description: str, schema: Any) -> dict[str, Any]:
    return {"description": description, "content": {_JSON: {"schema": schema}}}


def _summary(route: AdminRoute) -> str:
    lines = (route.handler.__doc__ or "").strip().splitlines()
    return lines[0] if lines else f"{route.method} {route.path}"
