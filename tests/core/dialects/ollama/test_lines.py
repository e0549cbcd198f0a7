"""The rewriter of Ollama's streams, on every split, and what it makes of what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.base import NotAnAnswer
from gateway.core.dialects.ollama.answer import rewrite_answer
from gateway.core.dialects.ollama.lines import LineRewriter, as_lines, in_one
from gateway.core.records.usage import Usage


def line(content: str = "", *, done: bool = False, **more: Any) -> bytes:
    message = {"role": "assistant", "content": content} | more.pop("message", {})
    found = {"model": "real", "created_at": "2025-01-01T00:00:00Z", "message": message}
    return json.dumps(found | {"done": done} | more, ensure_ascii=False).encode() + b"\n"


END = line(done=True, done_reason="stop", prompt_eval_count=7, eval_count=3)
STREAM = line(message={"thinking": "hm"}) + line("häl") + line("lo") + END


def play(data: bytes, size: int, most: int = 10_000) -> tuple[LineRewriter, bytes]:
    rewriter = LineRewriter(b'"mine"', max_event_bytes=most)
    out = b"".join(rewriter.feed(data[at : at + size]) for at in range(0, len(data), size))
    return rewriter, out + rewriter.end()


def test_only_the_name_changes_on_every_split() -> None:
    for data in (STREAM, STREAM[:-1], STREAM.replace(b"\n", b"\r\n")):
        for size in (1, 2, 3, 7, 100, 10_000):
            rewriter, out = play(data, size)
            assert rewriter.done
            assert rewriter.meaningful
            assert not rewriter.broken
            assert rewriter.usage == Usage(7, 3)
            whole = out + rewriter.finish()
            expected = STREAM.replace(b'"real"', b'"mine"')
            assert whole.replace(b"\r", b"") == expected
            # The last line is kept back, for a success alone to end with it.
            assert b'"done": true' not in out


def test_what_is_wrong() -> None:
    rewriter, out = play(line("a") + b'{"error":"no \\"m\\""}\n' + END, 5)
    assert rewriter.error == b'{"error":"no \\"m\\""}'
    assert out.count(b"\n") == 1
    for data in (b"{\n", b"[]\n", b'{"message": 3}\n', b'{"done": "x"}\n', b"\xff\n"):
        rewriter, _ = play(line("a") + data, 1000)
        assert rewriter.broken
    rewriter, _ = play(b"x" * 200, 50, most=100)
    assert rewriter.broken
    rewriter, _ = play(line("a")[:-5], 1000)
    assert rewriter.broken
    rewriter, _ = play(line("a"), 1000)
    assert not rewriter.done
    assert rewriter.text_tokens == 1


def test_whole_answers_and_streams_say_the_same() -> None:
    calls = [{"function": {"name": "f", "arguments": {"a": 1.50}}}]
    body = line("hi", message={"tool_calls": calls}, done=True, eval_count=3, prompt_eval_count=7)
    answer = rewrite_answer(body, b'"mine"')
    assert answer.usage == Usage(7, 3)
    assert json.loads(answer.body) == json.loads(body) | {"model": "mine"}
    assert json.loads(in_one(as_lines(body))) == json.loads(body)
    merged = json.loads(in_one(STREAM))
    assert merged["message"] == {"role": "assistant", "content": "hällo", "thinking": "hm"}
    assert merged["eval_count"] == 3
    for wrong in (b"", b"[]", b"{}", b'{"error":"no"}', b'{"model":"x"}'):
        with pytest.raises(NotAnAnswer):
            rewrite_answer(wrong, b'"m"')
