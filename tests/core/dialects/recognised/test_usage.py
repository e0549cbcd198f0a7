from __future__ import annotations

import json

from gateway.core.dialects.recognised.request import recognised
from gateway.core.dialects.recognised.usage import UsageFinder
from gateway.core.records.usage import Usage

CHAT = {"prompt_tokens": 7, "completion_tokens": 3}
MESSAGE = {"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 1}
# What is no report: in a text, and in a text within a text.
TEXT = 'see "usage": {"prompt_tokens": 99, "completion_tokens": 9} or }{ "'


def found(dialect: str, data: bytes, size: int) -> Usage | None:
    finder = UsageFinder(dialect)
    for at in range(0, len(data), size):
        finder.feed(data[at : at + size])
    return finder.usage


def test_reports_are_found_wherever_they_stand_on_every_split() -> None:
    whole = json.dumps({"text": TEXT, "more": json.dumps({"x": TEXT}), "usage": CHAT}).encode()
    nested = b'data: {"type":"message_start","message":{"usage":%b}}\n\ndata: %b\n\n' % (
        json.dumps(MESSAGE).encode(),
        json.dumps({"type": "message_delta", "usage": {"output_tokens": 40}}).encode(),
    )
    for size in (1, 2, 3, 7, 64, 10_000):
        assert found("openai_chat", whole, size) == Usage(7, 3), size
        assert found("anthropic_messages", nested, size) == Usage(7, 40, cached_tokens=2), size


def test_nothing_is_made_of_what_is_none() -> None:
    for data in (b"", b"usage", b'"usage": null', b'"usage": {' + b"x" * 100_000, b'{"usage":{}}'):
        assert found("openai_chat", data, 1000) is None


def test_a_large_answer_is_not_held() -> None:
    finder = UsageFinder("openai_chat")
    for _ in range(100):
        finder.feed(b'{"b64_json": "' + b"A" * 60_000)
        assert len(finder._rest) < 1000
    finder.feed(b'", "usage": %b}' % json.dumps(CHAT).encode())
    assert finder.usage == Usage(7, 3)


def test_requests_are_recognised_leniently() -> None:
    kind = b"application/json; charset=utf-8"
    body = b'{"model": "a", "stream": true, "user": 3, "max_tokens": 9, "max_output_tokens": -1}'
    request = recognised(body, kind)
    assert request is not None
    assert (request.model, request.stream, request.user, request.answer_tokens) == (
        *("a", True, None, 9),
    )
    for body in (b"", b"{", b"[]", b'{"model": 1}', b'{"model": ""}', b'{"a": "\\ud800"}', b"\xff"):
        assert recognised(body, kind) is None
    assert recognised(b'{"model": "a"}', b"text/plain") is None
