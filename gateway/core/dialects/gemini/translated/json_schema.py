"""Google's schemas, which are OpenAPI's of 3.0, as JSON Schema (ai.google.dev/api/caching#Schema).

    "type": "STRING", "nullable": true    "type": ["string", "null"]
    "minItems": "1"                       "minItems": 1 (ProtoJSON writes 64 bits as text)
    "propertyOrdering", "example"         nothing

What is JSON Schema already comes out as it went in.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .....errors import InvalidRequest
from ...bodies.items import MOST_ITEMS
from ...canonical.reading import Fields, fields_of, is_text, is_true, items_of, text_of

_DEEPEST: Final = 64
_ONE: Final = frozenset({"items", "additionalProperties", "not"})
_MANY: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_NAMED: Final = frozenset({"properties", "$defs", "defs", "definitions"})
_COUNTS: Final = (
    *("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"),
)
_LEFT_OUT: Final = frozenset({"nullable", "propertyOrdering", "example"})
_SNAKE: Final = {
    "any_of": "anyOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "property_ordering": "propertyOrdering",
}
_UNSAID: Final = "TYPE_UNSPECIFIED"
_ENCODE: Final = msgspec.json.Encoder().encode


def as_json_schema(raw: msgspec.Raw, path: str) -> msgspec.Raw:
    """Return one of Google's schemas as JSON Schema. Raises InvalidRequest (400)."""
    return msgspec.Raw(_ENCODE(_converted(raw, path, 0, [MOST_ITEMS])))


def _converted(raw: msgspec.Raw, path: str, depth: int, left: list[int]) -> Any:
    if depth > _DEEPEST:
        raise InvalidRequest(f"{path} is nested too deeply", param=path)
    left[0] -= 1
    if left[0] < 0:
        raise InvalidRequest(
            f"a schema has more than {MOST_ITEMS} schemas in it", code="too_many_items", param=path
        )
    if not bytes(raw).startswith(b"{"):
        # `additionalProperties` may be true or false.
        return raw
    fields = {_SNAKE.get(name, name): value for name, value in fields_of(raw, path).items()}
    found: dict[str, Any] = {}
    for name, value in fields.items():
        where = f"{path}.{name}"
        if name == "type":
            found[name] = _type(value)
        elif name in _ONE:
            found[name] = _converted(value, where, depth + 1, left)
        elif name in _MANY:
            found[name] = [
                _converted(each, where, depth + 1, left) for each in items_of(value, where)
            ]
        elif name in _NAMED and bytes(value).startswith(b"{"):
            inner = fields_of(value, where)
            found[name] = {
                k: _converted(v, f"{where}.{k}", depth + 1, left) for k, v in inner.items()
            }
        elif name in _COUNTS and is_text(value) and text_of(value, where).isdigit():
            found[name] = msgspec.Raw(text_of(value, where).encode())
        elif name not in _LEFT_OUT:
            found[name] = value
    if found.get("type") == _UNSAID.lower():
        del found["type"]
    if is_true(fields.get("nullable")):
        _allow_null(found, fields)
    return found


def _type(value: msgspec.Raw) -> Any:
    if not is_text(value):
        return value
    return text_of(value, "type").lower()


def _allow_null(found: dict[str, Any], fields: Fields) -> None:
    if isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
        if "enum" in fields:
            found["enum"] = [*items_of(fields["enum"], "enum"), None]
    elif "anyOf" in found:
        found["anyOf"] = [*found["anyOf"], {"type": "null"}]
