"""What Anthropic really sent comes out equal but for `model`; skipped where recordings are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.core.dialects.anthropic_messages.answer import rewrite_answer
from gateway.core.dialects.anthropic_messages.stream import MessageStreamRewriter
from gateway.core.wire.sse import SseDecoder

from .test_recordings import FOLDER, renamed


def lines_of(path: Path) -> list[bytes]:
    return [line for line in path.read_bytes().split(b"\n") if line.strip()]


def messages_of(path: Path) -> list[list[bytes]]:
    """Return the messages of a recording: some hold several, one answer after the other."""
    found: list[list[bytes]] = [[]]
    for line in lines_of(path):
        found[-1].append(line)
        if json.loads(line)["type"] == "message_stop":
            found.append([])
    return [lines for lines in found if lines]


def stream_of(lines: list[bytes]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (json.loads(line)["type"].encode(), line) for line in lines
    )


def expected(event: dict[str, Any]) -> dict[str, Any]:
    if event["type"] == "message_start":
        event["message"] = renamed(event["message"])
    return event


@pytest.mark.parametrize(
    "path", sorted((FOLDER / "anthropic").glob("*.chunks.txt")), ids=lambda path: path.name
)
@pytest.mark.parametrize("size", [1, 100, 1 << 20])
def test_streams(path: Path, size: int) -> None:
    messages = messages_of(path)
    if len(messages) > 1:
        check_relayed(lines_of(path), size)
    for lines in messages:
        rewriter = check_relayed(lines, size)
        # The same sent instead of a whole answer gives one.
        answer = rewrite_answer(stream_of(lines), b'"mine"')
        assert json.loads(answer.body)["stop_reason"]
        assert answer.usage == rewriter.usage


def check_relayed(lines: list[bytes], size: int) -> MessageStreamRewriter:
    stream = stream_of(lines)
    rewriter = MessageStreamRewriter(b'"mine"', max_event_bytes=1 << 24)
    output = b"".join(rewriter.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    output += rewriter.finish()
    shown = [event.data or b"" for event in SseDecoder().feed(output)]
    assert [json.loads(data) for data in shown] == [expected(json.loads(line)) for line in lines]
    # To the byte, but for the model.
    assert [data for data in shown if b"message_start" not in data] == [
        line for line in lines if b"message_start" not in line
    ]
    assert rewriter.done
    assert (rewriter.error, rewriter.broken, rewriter.malformed) == (None, None, 0)
    assert rewriter.meaningful
    return rewriter


@pytest.mark.parametrize(
    "path", sorted((FOLDER / "anthropic").glob("*.json")), ids=lambda path: path.name
)
def test_answers(path: Path) -> None:
    body = path.read_bytes()
    given = json.loads(body)
    answer = rewrite_answer(body, b'"mine"')
    assert json.loads(answer.body) == renamed(given)
    # The same sent instead of a stream gives one, which put together is the same again.
    rewriter = MessageStreamRewriter(b'"mine"', max_event_bytes=1 << 24)
    stream = rewriter.feed_answer(body) + rewriter.finish()
    again = json.loads(rewrite_answer(stream, b'"mine"').body)
    assert again["content"] == given["content"]
    assert again["stop_reason"] == given["stop_reason"]
    assert rewriter.usage == answer.usage
