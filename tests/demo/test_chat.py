from __future__ import annotations

import json

import pytest

from gateway.demo.chat import TextAnswer

DONE = b"data: [DONE]\n\n"


def asked(**members: object) -> bytes:
    return json.dumps({"model": "any", "prompt": "Why is the sky blue?", **members}).encode()


def test_a_legacy_completion_goes_on_for_16_tokens() -> None:
    answer = TextAnswer(asked(), 1234)
    assert (answer.stream, answer.pace) == (False, 16)
    found = json.loads(answer.whole())
    assert (found["object"], found["created"], found["model"]) == ("text_completion", 1234, "any")
    assert found["choices"][0]["text"].startswith('You asked about this: "Why is the sky blue?".')
    assert found["choices"][0]["finish_reason"] == "length"
    assert found["usage"] == {"prompt_tokens": 5, "completion_tokens": 16, "total_tokens": 21}


@pytest.mark.parametrize("include_usage", [False, True])
def test_it_streams_the_same(include_usage: bool) -> None:
    options = {"stream_options": {"include_usage": include_usage}}
    body = asked(stream=True, max_tokens=1000, **options)
    answer = TextAnswer(body, 1234)
    *events, last = answer.events()
    assert (answer.stream, last) == (True, DONE)
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events]
    if include_usage:
        usage = chunks.pop()
        assert (usage["choices"], usage["usage"]) == ([], answer.usage)
    whole = json.loads(answer.whole())["choices"][0]
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == whole["text"]
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == [None] * (len(chunks) - 1) + ["stop"]
    assert all(("usage" in chunk) == include_usage for chunk in chunks)


def test_several_prompts_and_none() -> None:
    for prompt, expected in ((["Hi", "Ho"], '"Hi"'), (None, "did not ask"), ([], "did not ask")):
        text = json.loads(TextAnswer(asked(prompt=prompt), 0).whole())["choices"][0]["text"]
        assert expected in text
