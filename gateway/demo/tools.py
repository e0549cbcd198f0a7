"""Which tool the demo asks for: the first that it is given, once, with arguments that fit."""

from __future__ import annotations

from typing import Final

_SAMPLES: Final[dict[str, object]] = {
    "string": "demo",
    "integer": 1,
    "number": 1,
    "boolean": True,
    "array": [],
    "object": {},
}
# What it thinks, where thinking is asked for.
THOUGHT: Final = ("Let ", "me ", "think ", "about ", "that.")


def arguments_for(schema: object) -> dict[str, object]:
    """Return a value for each property that `schema`, a JSON schema of an object, requires."""
    if not isinstance(schema, dict):
        return {}
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict) or not isinstance(required, list):
        return {}
    return {name: _sample(properties.get(name)) for name in required if isinstance(name, str)}


def _sample(schema: object) -> object:
    if not isinstance(schema, dict):
        return "demo"
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return choices[0]
    kind = schema.get("type")
    return _SAMPLES.get(kind, "demo") if isinstance(kind, str) else "demo"
