from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.base import NotAnAnswer
from gateway.core.dialects.gemini.answer import rewrite_answer
from gateway.core.records.usage import Usage

from .events import USAGE, call, chunk, dumped, stream, text, whole


def test_only_the_model_is_changed() -> None:
    body = json.dumps(chunk(text("Hi"), reason="STOP", new=1.50), indent=2).encode()
    answer = rewrite_answer(body, b'"mine"')
    assert answer.body == body.replace(b'"gemini-x"', b'"mine"')
    assert answer.usage == Usage(10, 5)


def test_a_blocked_prompt_has_no_candidate_and_is_an_answer() -> None:
    body = dumped({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})
    assert rewrite_answer(body, b'"mine"').body == body


@pytest.mark.parametrize(
    ("body", "is_error", "final"),
    [
        (b"{}", False, False),
        (b"nonsense", False, False),
        (b'{"error":{"code":500,"message":"x"}}', True, False),
        (b'[{"error":{"code":500,"message":"x"}}]', True, False),
        (b'{"candidates":[],"usageMetadata":{"promptTokenCount":3}}', False, True),
        (b'{"promptFeedback":{}}', False, False),
    ],
)
def test_what_is_no_answer(body: bytes, is_error: bool, final: bool) -> None:
    with pytest.raises(NotAnAnswer) as caught:
        rewrite_answer(body, b'"mine"')
    assert (caught.value.error is not None, caught.value.final) == (is_error, final)


def put_together(*chunks: dict[str, Any]) -> dict[str, Any]:
    answer = rewrite_answer(stream(*chunks), b'"mine"')
    assert rewrite_answer(dumped([*chunks]), b'"mine"') == answer
    found: dict[str, Any] = json.loads(answer.body)
    return found


def test_a_stream_instead_of_an_answer() -> None:
    found = put_together(
        chunk(text("Let me ", thought=True)),
        chunk(text("think.", thought=True)),
        chunk(text("Hel")),
        chunk(text("lo"), text("", thoughtSignature="sig")),
        chunk(call("f", args={"n": 1}) | {"thoughtSignature": "s"}),
        chunk(call("g", willContinue=True)),
        chunk(
            {
                "functionCall": {
                    "partialArgs": [{"jsonPath": "$.a[1].b", "numberValue": 1.50}],
                    "willContinue": True,
                }
            }
        ),
        chunk({"functionCall": {}}),
        chunk(text("."), reason="STOP", usageMetadata=USAGE | {"thoughtsTokenCount": 2}),
    )
    assert found["candidates"] == [
        {
            "content": {
                "parts": [
                    {"text": "Let me think.", "thought": True},
                    {"text": "Hello"},
                    {"text": "", "thoughtSignature": "sig"},
                    {"functionCall": {"name": "f", "args": {"n": 1}}, "thoughtSignature": "s"},
                    {"functionCall": {"name": "g", "args": {"a": [None, {"b": 1.5}]}}},
                    {"text": "."},
                ],
                "role": "model",
            },
            "finishReason": "STOP",
            "index": 0,
        }
    ]
    assert found["modelVersion"] == "mine"
    assert found["responseId"] == "r-1"


def test_several_candidates_put_together() -> None:
    found = put_together(
        chunk(text("a")),
        chunk(text("b"), index=1, reason="STOP"),
        chunk(text("c"), reason="MAX_TOKENS"),
    )
    assert [each["content"]["parts"][0]["text"] for each in found["candidates"]] == ["ac", "b"]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_half_a_stream_is_no_answer(cut: int) -> None:
    sent = whole("a", "b")
    with pytest.raises(NotAnAnswer):
        rewrite_answer(sent[: len(sent) - 4 - cut], b'"mine"')


def test_an_error_within_a_stream() -> None:
    sent = stream(chunk(text("a")), {"error": {"code": 500, "message": "x"}})
    with pytest.raises(NotAnAnswer) as caught:
        rewrite_answer(sent, b'"mine"')
    assert caught.value.error is not None


def test_text_is_measured_when_no_usage_comes() -> None:
    body = dumped(chunk(text("some words of text"), reason="STOP", usageMetadata={}))
    answer = rewrite_answer(body, b'"mine"')
    assert answer.usage is None
    assert answer.text_tokens > 3
