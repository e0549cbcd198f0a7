from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.wire.overrides import NO_OVERRIDES, Override, Overrides
from gateway.core.wire.splice import members

RULES = Overrides(
    ("models", "api_base"),
    ("aws_",),
    {"plugins": ("models",), "metadata": ("tags[]", "api_base")},
    {"tools": ("model", "analysis_models")},
)


def found(body: dict[str, Any] | bytes) -> list[Override]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return list(RULES.find(members(data), data))


def paths(body: dict[str, Any] | bytes) -> list[str]:
    return [each.path for each in found(body)]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"models": ["x"]}, "models"),
        ({"Models": ["x"]}, "Models"),
        ({"api-base": "x"}, "api-base"),
        ({"apiBase": "x"}, "apiBase"),
        ({"aws_region": "x"}, "aws_region"),
        ({"AWS_REGION": "x"}, "AWS_REGION"),
        ({"plugins": [{"id": "web"}, {"id": "fusion", "models": ["x"]}]}, "plugins[1].models"),
        ({"Plugins": [{"models": ["x"]}]}, "Plugins[0].models"),
        ({"plugins": [{"config": {"models": ["x"]}}]}, "plugins[0].config.models"),
        ({"metadata": {"tags": ["free"]}}, "metadata.tags"),
        ({"metadata": {"API_BASE": "x"}}, "metadata.API_BASE"),
        ({"tools": [{"type": "advisor", "model": "x"}]}, "tools[0].model"),
        ({"tools": [{"parameters": {"analysis_models": ["x"]}}]}, "tools[0].parameters."),
        (b'{"tools":[{"\\u006dodel":"x"}]}', "tools[0].model"),
        (b'{"tools":[{"Model":"x"}]}', "tools[0].Model"),
        (b'{"tools":[{"model":"x","model":null}]}', "tools[0].model"),
        (b'{"tools":[{"model":null,"model":"x"}]}', "tools[0].model"),
        (b'{"tools":[{"d":"\\ud800","model":"x"}]}', "tools[0].model"),
        (b'{"tools":[{"model":"x"},{"d":"\\ud800"}]}', "tools[0].model"),
        (b'{"tools":[ {\n"model" : "x"}]}', "tools[0].model"),
        # What cannot be looked at is not let through.
        (b'{"tools":[' + b'{"model":1},' * 100_001 + b"{}]}", "tools"),
        (b'{"tools":[{' + b",".join(b'"model%d":1' % n for n in range(5000)) + b"}]}", "tools[0]"),
    ],
)
def test_what_is_found(body: dict[str, Any] | bytes, path: str) -> None:
    assert [each[: len(path)] for each in paths(body)[:1]] == [path]


@pytest.mark.parametrize(
    "body",
    [
        {"model": "x", "messages": [{"role": "user", "content": "models"}]},
        {"models": None},
        {"models": []},
        {"metadata": {"tags": "a,b", "user_id": "u"}},
        {"plugins": [{"id": "web", "max_results": 3}]},
        {"plugins": [{"models": []}]},
        # A function that has a parameter of that name.
        {
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "f",
                        "parameters": {"properties": {"model": {"type": "string"}}},
                    },
                },
                {"name": "Task", "input_schema": {"properties": {"model": {"enum": ["sonnet"]}}}},
                {
                    "type": "function",
                    "name": "f",
                    "parameters": {"type": "object", "properties": {"model": {"type": "string"}}},
                },
            ]
        },
        {"tools": "model"},
        {"tools": {"model": None}},
        {"tools": [["model"], "model", 1]},
        {"n\u5024": 1},
    ],
)
def test_what_is_none(body: dict[str, Any]) -> None:
    assert paths(body) == []


def test_models_that_are_asked_for_by_name() -> None:
    body = {
        "tools": [
            {"model": "a"},
            {"model": ["a", "b"]},
            {"model": {"id": "a"}},
            {"analysis_models": ["a", 1]},
        ]
    }
    assert [each.models for each in found(body)] == [("a",), ("a", "b"), ("",), ("a", "")]
    assert [each.name for each in found(body)][-1] == "tools.analysis_models"
    assert [each.models for each in found({"models": ["a"]})] == [None]


def test_parameters_of_a_query() -> None:
    names = ["models", "API_BASE", "aws_x", "stream", ""]
    assert [RULES.named(name) for name in names] == [True, True, True, False, False]
    assert not NO_OVERRIDES.named("models")
