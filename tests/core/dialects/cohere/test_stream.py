"""The rewriter of Cohere's streams, on every split, and what it makes of what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.base import NotAnAnswer
from gateway.core.dialects.cohere.answer import rewrite_answer
from gateway.core.dialects.cohere.dialect import COHERE_CHAT
from gateway.core.dialects.cohere.stream import CohereStreamRewriter
from gateway.core.dialects.cohere.unstreamed import as_stream
from gateway.core.records.usage import Usage

from .events import HELLO, START, call, cited, end, event, said, text

LONG = (
    START
    + said("tool-plan-delta", {"tool_plan": "I look."})
    + text("Hm.", kind="thinking")
    + text("a", index=1)
    + cited(0, 1, {"type": "document", "id": "doc:0", "document": {"text": "x"}})
    + call("c1", "f", '{"a":', " 1.50}")
    + call("c2", "g", index=1)
    + end("TOOL_CALL")
)


def play(data: bytes, size: int) -> tuple[CohereStreamRewriter, bytes]:
    rewriter = CohereStreamRewriter(max_event_bytes=10_000)
    out = b"".join(rewriter.feed(data[at : at + size]) for at in range(0, len(data), size))
    return rewriter, out + rewriter.end()


def test_nothing_changes_on_every_split() -> None:
    for stream in (HELLO, LONG):
        # A mark behind the end, comments, line ends, and what nobody has heard of.
        head, _, tail = stream.partition(b"event: message-end")
        noisy = b": hi\n\n" + head + event("debug", prompt="p") + b"event: message-end" + tail
        for data in (stream, stream + b"data: [DONE]\n\n", stream.replace(b"\n", b"\r\n"), noisy):
            for size in (1, 2, 3, 7, 100, 10_000):
                rewriter, out = play(data, size)
                assert rewriter.done
                assert rewriter.meaningful
                assert not rewriter.broken
                assert not rewriter.error
                assert rewriter.usage == Usage(12, 7)
                assert b"message-end" not in out
                whole = out + rewriter.finish()
                expected = noisy if data is noisy else stream
                assert whole == expected


def test_what_is_wrong() -> None:
    for bad, why in (
        (event("message-end", delta={"finish_reason": "ERROR", "error": "no memory"}), "no memory"),
        (event("message-end", delta={"finish_reason": "TIMEOUT"}), "TIMEOUT"),
        (b'event: error\ndata: {"message":"gone"}\n\n', "gone"),
        (b'data: {"id":"x","message":"gone"}\n\n', "gone"),
    ):
        rewriter, out = play(START + text("a") + bad + end(), 5)
        assert rewriter.error is not None
        assert why in COHERE_CHAT.read_error(rewriter.error)
        assert not rewriter.done
        assert b"message-end" not in out
        shown = COHERE_CHAT.relayed_error_event(rewriter.error)
        delta = json.loads(shown.split(b"data: ")[1])["delta"]
        assert delta["finish_reason"] in ("ERROR", "TIMEOUT")
    for bad in (b"data: {\n\n", b"data: []\n\n", b'data: {"type": 3}\n\n', b"data: \xff\n\n"):
        rewriter, _ = play(START + bad, 100)
        assert rewriter.broken
    rewriter, _ = play(START + text("ab"), 100)
    assert not rewriter.ended
    assert rewriter.text_tokens == 1
    # What only begins a block says nothing yet.
    begun = said("content-start", {"content": {"type": "text", "text": ""}}, index=0)
    rewriter, _ = play(START + begun, 100)
    assert not rewriter.meaningful


def test_whole_answers_and_streams_say_the_same() -> None:
    answer = rewrite_answer(LONG)
    found = json.loads(answer.body)
    assert answer.usage == Usage(12, 7)
    assert found["id"] == "a-1"
    assert found["finish_reason"] == "TOOL_CALL"
    message = found["message"]
    assert message["tool_plan"] == "I look."
    assert message["content"] == [
        {"type": "thinking", "thinking": "Hm."},
        {"type": "text", "text": "a"},
    ]
    assert [each["function"]["arguments"] for each in message["tool_calls"]] == ['{"a": 1.50}', ""]
    assert len(message["citations"]) == 1
    assert json.loads(rewrite_answer(as_stream(answer.body)).body) == found
    body = b'{"id":"x","message":{"role":"assistant","content":"Hi"},"finish_reason":"COMPLETE"}'
    assert rewrite_answer(body).body == body
    again = json.loads(rewrite_answer(as_stream(body)).body)
    assert again["message"]["content"] == [{"type": "text", "text": "Hi"}]
    rewriter = CohereStreamRewriter(max_event_bytes=10_000)
    assert b"Hi" in rewriter.feed_answer(body)
    assert rewriter.done


def test_what_is_no_answer() -> None:
    for body, reported in (
        (b"", False),
        (b"[]", False),
        (b"{}", False),
        (b'{"message":null}', False),
        (b'{"id":"x","message":"no such model"}', True),
        (b'{"error":"no","finish_reason":"COMPLETE"}', True),
        (b'{"message":{"role":"assistant"},"finish_reason":"ERROR"}', True),
        (START + text("a"), False),
    ):
        with pytest.raises(NotAnAnswer) as caught:
            rewrite_answer(body)
        assert (caught.value.error is not None) is reported


def test_usage_is_what_is_billed() -> None:
    cases: tuple[tuple[Any, Usage | None], ...] = (
        ({"billed_units": {"input_tokens": 12, "output_tokens": 7}}, Usage(12, 7)),
        ({"tokens": {"input_tokens": 9, "output_tokens": 2}}, Usage(9, 2)),
        # Of 600 cached, 495 are Cohere's own prompt.
        (
            {
                "billed_units": {"input_tokens": 212, "output_tokens": 7},
                "tokens": {"input_tokens": 707, "output_tokens": 10},
                "cached_tokens": 600,
            },
            Usage(212, 7, cached_tokens=105),
        ),
        ({"billed_units": {"search_units": 2.0}}, Usage(search_units=2)),
        ({"billed_units": {"input_tokens": -1, "output_tokens": 1e99}}, None),
        ({}, None),
        ([], None),
    )
    for usage, expected in cases:
        body = {"message": {"role": "assistant", "content": []}, "usage": usage}
        assert rewrite_answer(json.dumps(body).encode()).usage == expected
