from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gateway.core.dialects.gemini.request import PathCall, parse_content
from gateway.core.dialects.needs import Needs


def needed(body: dict[str, Any], *, stream: bool = False) -> dict[str, Any]:
    request = parse_content(json.dumps(body).encode(), PathCall("m", stream=stream))
    found = request.needs(prompt=False)
    default = Needs()
    return {
        name: getattr(found, name)
        for name in found.__struct_fields__
        if getattr(found, name) != getattr(default, name)
    }


def parts(*found: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [*found]}]}


MEDIA = {
    "image/png": "images",
    "audio/wav": "audio",
    "application/pdf": "documents",
}


@pytest.mark.parametrize("media", MEDIA)
def test_media(media: str) -> None:
    expected = {MEDIA[media]: "contents[0].parts[1]"}
    for part in (
        {"inlineData": {"mimeType": media, "data": ""}},
        {"inline_data": {"mime_type": media, "data": ""}},
        {"fileData": {"mimeType": media, "fileUri": "x"}},
    ):
        assert needed(parts({"text": "a"}, part)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (parts({"text": "a"}), {}),
        ({"contents": {"parts": {"text": "a"}}}, {}),
        ({"contents": [], "tools": [{"googleSearch": {}}]}, {"tools": "tools"}),
        ({"contents": [], "tools": []}, {}),
        (parts({"functionCall": {"name": "f"}}), {"tools": "contents[0]"}),
        (
            parts({"functionCall": {}}, {"function_call": {}}),
            {"tools": "contents[0]", "parallel_tools": "contents[0]"},
        ),
        (
            {"contents": [], "generationConfig": {"responseSchema": {"type": "OBJECT"}}},
            {"structured_output": "generationConfig.responseSchema"},
        ),
        (
            {"contents": [], "generation_config": {"response_json_schema": {"type": "object"}}},
            {"structured_output": "generation_config.response_json_schema"},
        ),
        (
            {"contents": [], "generationConfig": {"thinkingConfig": {"thinkingBudget": -1}}},
            {"thinking": "generationConfig.thinkingConfig"},
        ),
        ({"contents": [], "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, {}),
        ({"contents": [], "generationConfig": {"thinkingConfig": {"includeThoughts": True}}}, {}),
        ({"contents": [], "generationConfig": {"maxOutputTokens": 7}}, {"answer": 7}),
        ({"contents": 5, "generationConfig": [], "tools": 0}, {}),
        ({"contents": [5, {"parts": [1, {"inlineData": 3}, {"fileData": {"mimeType": 5}}]}]}, {}),
    ],
)
def test_what_is_needed(body: dict[str, Any], expected: dict[str, Any]) -> None:
    assert needed(body) == expected


def test_streaming_and_size() -> None:
    assert needed({"contents": []}, stream=True) == {"streaming": "streamGenerateContent"}
    body = msgspec.json.encode(parts({"text": "word " * 400}))
    assert parse_content(body, PathCall("m")).needs().prompt > 200
