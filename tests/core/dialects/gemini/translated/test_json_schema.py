from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gateway.core.dialects.bodies.items import MOST_ITEMS
from gateway.core.dialects.gemini.translated.json_schema import as_json_schema
from gateway.errors import InvalidRequest


def converted(schema: Any) -> Any:
    return json.loads(bytes(as_json_schema(msgspec.Raw(json.dumps(schema).encode()), "s")))


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "STRING"}, {"type": "string"}),
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        (
            {"type": "STRING", "enum": ["a"], "format": "enum", "nullable": True},
            {"type": ["string", "null"], "enum": ["a", None], "format": "enum"},
        ),
        ({"any_of": [{"type": "INTEGER"}], "nullable": True},
         {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        ({"type": "ARRAY", "items": {"type": "NUMBER"}, "minItems": "1", "max_items": 3},
         {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 3}),
        (
            {
                "type": "OBJECT",
                "properties": {"type": {"type": "STRING"}, "nullable": {"type": "BOOLEAN"}},
                "required": ["type"],
                "propertyOrdering": ["type"],
                "example": {"type": "x"},
            },
            {
                "type": "object",
                "properties": {"type": {"type": "string"}, "nullable": {"type": "boolean"}},
                "required": ["type"],
            },
        ),
        ({"type": "TYPE_UNSPECIFIED", "title": "t"}, {"title": "t"}),
    ],
)  # fmt: skip
def test_google_s_schemas(schema: Any, expected: Any) -> None:
    assert converted(schema) == expected


def test_json_schema_stays_as_it_is() -> None:
    schema = {
        "$defs": {"n": {"type": ["number", "null"], "minimum": 1.5}},
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"oneOf": [{"const": 1}]}},
        "additionalProperties": False,
    }
    assert converted(schema) == schema


def test_what_is_nested_too_deeply() -> None:
    schema: Any = {"type": "STRING"}
    for _ in range(200):
        schema = {"type": "ARRAY", "items": schema}
    with pytest.raises(InvalidRequest):
        converted(schema)
    with pytest.raises(InvalidRequest):
        converted({"anyOf": 5})


@pytest.mark.parametrize("name", ["anyOf", "properties"])
def test_what_has_too_many_schemas_in_it(name: str) -> None:
    def inner(count: int) -> Any:
        return [{}] * count if name == "anyOf" else {str(each): {} for each in range(count)}

    assert len(converted({name: inner(MOST_ITEMS - 1)})[name]) == MOST_ITEMS - 1
    with pytest.raises(InvalidRequest):
        converted({name: inner(MOST_ITEMS)})
