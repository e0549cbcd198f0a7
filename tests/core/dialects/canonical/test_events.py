"""Every writer of events takes all that an answer may say, whether it has a shape for it or not."""

from __future__ import annotations

import json
from typing import Final, get_args

import msgspec
import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import DialectRequest
from gateway.core.dialects.canonical.events import (
    BlockStarted,
    BlockStopped,
    Cited,
    Event,
    Grown,
    Searched,
    Started,
    Stopped,
    StopReason,
)
from gateway.core.dialects.canonical.logprobs import TokenLogprob
from gateway.core.dialects.canonical.sources import Citation, FoundPage
from gateway.core.dialects.gemini.dialect import GEMINI
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.dialects.translators import TRANSLATORS

EVENTS: Final[list[Event]] = [
    Started("1"),
    BlockStarted(0, "thinking"),
    Grown(0, "x"),
    Grown(0, "s", signature=True),
    BlockStopped(0),
    Searched("s", ["q"], [FoundPage("https://h")]),
    Searched("", [], failure="unavailable"),
    BlockStarted(1, "text"),
    Grown(1, "Hi", logprobs=[TokenLogprob("Hi", msgspec.Raw(b"-1"), [72, 105])]),
    Cited(1, Citation("https://h", "t")),
    Cited(1, Citation(title="d", document=0)),
    # Of no block that is open.
    Cited(7, Citation("https://h")),
    BlockStopped(1),
    BlockStarted(2, "call", "c", "f"),
    Grown(2, "{}"),
    BlockStopped(2),
    Stopped(StopReason.CALLS),
]


def request_of(dialect: str) -> DialectRequest:
    said = [{"role": "user", "content": "Hi"}]
    if dialect == ANTHROPIC_MESSAGES.name:
        body = {"model": "m", "max_tokens": 9, "messages": said}
        return ANTHROPIC_MESSAGES.read_request(json.dumps(body).encode())
    if dialect == OPENAI_RESPONSES.name:
        return OPENAI_RESPONSES.read_request(b'{"model":"m","input":"Hi"}')
    if dialect == GEMINI.name:
        return GEMINI.read_request(b'{"model":"m","contents":[{"parts":[{"text":"Hi"}]}]}')
    return OPENAI_CHAT.read_request(json.dumps({"model": "m", "messages": said}).encode())


@pytest.mark.parametrize("name", sorted(TRANSLATORS))
def test_every_writer_takes_every_event(name: str) -> None:
    assert {type(each) for each in EVENTS} == set(get_args(Event))
    translator = TRANSLATORS[name]
    for whole in (False, True):
        writer = translator.event_writer(request_of(name), b'"m"', "f", 0.0, whole=whole)
        written = b"".join(map(writer.write, EVENTS)) + writer.finish(None, 0)
        assert b"Hi" in written
        if whole:
            assert b"Hi" in translator.assemble(written, b'"m"').body
