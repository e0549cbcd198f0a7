"""Answers nested more deeply than any is read: broken or passed on, and no fault of ours."""

from __future__ import annotations

import contextlib
from typing import Final

import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect, NotAnAnswer
from gateway.core.dialects.bedrock_converse.dialect import BEDROCK_CONVERSE
from gateway.core.dialects.bedrock_converse.frames import event_frame
from gateway.core.dialects.gemini.dialect import GEMINI
from gateway.core.dialects.ollama.dialect import OLLAMA_CHAT
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES

from ...rounds import swept
from .canonical.recipient import To

REQUESTS: Final[list[tuple[Dialect, bytes]]] = [
    (OPENAI_CHAT, b'{"model":"m","messages":[],"stream":true}'),
    (ANTHROPIC_MESSAGES, b'{"model":"m","messages":[],"max_tokens":1,"stream":true}'),
    (OPENAI_RESPONSES, b'{"model":"m","input":"x","stream":true}'),
    (GEMINI, b'{"model":"m","stream":true,"contents":[]}'),
    (OLLAMA_CHAT, b'{"model":"m","messages":[{"role":"user","content":"x"}]}'),
    (BEDROCK_CONVERSE, b'{"modelId":"m","stream":true,"messages":[]}'),
]
BODIES: Final = (
    b'{"choices":[],"usage":{"prompt_tokens":1},"x":%b}',
    b'{"choices":[{"index":0,"delta":%b}]}',
    b'{"choices":[{"index":0,"delta":{"content":"x"},"z":%b}],"model":"m"}',
    b'{"type":"message_start","message":{"model":"x","z":%b}}',
    b'{"type":"message_delta","delta":{"stop_reason":"end_turn","z":%b},"usage":{}}',
    b'{"type":"content_block_start","index":0,"content_block":%b}',
    b'{"type":"response.completed","response":{"model":"m","z":%b}}',
    b'{"candidates":[{"content":%b}],"modelVersion":"q"}',
    b'{"delta":%b}',
    b'{"start":%b,"usage":%b}',
    b'{"output":{"message":{"content":%b}}}',
    b'{"model":"y","content":%b}',
    b'{"error":%b}',
)


def nested(depth: int) -> list[bytes]:
    return [b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth]


@pytest.mark.parametrize(("dialect", "request_"), REQUESTS, ids=[d.name for d, _ in REQUESTS])
def test_however_deep(dialect: Dialect, request_: bytes) -> None:
    to = To(dialect)
    request = dialect.read_request(request_)
    bodies = [
        each.replace(b"%b", value)
        for depth in (300, 600, 700, 900, 1100, 20_000)
        for each in BODIES
        for value in nested(depth)
    ]
    for number in swept(len(bodies), [each for each, _ in REQUESTS].index(dialect)):
        body = bodies[number - 1]
        for name in (b"", b"error", b"response.completed"):
            stream = request.start_stream(to, b'"mine"', 1 << 24)
            stream.feed(_sent(dialect, name, body))
            stream.end()
        for read in (
            lambda body=body: request.rewrite_answer(to, b'"mine"', body),
            lambda body=body: request.start_stream(to, b'"m"', 1 << 24).feed_answer(body),
        ):
            with contextlib.suppress(NotAnAnswer):
                read()
        assert dialect.read_error(body) is not None
        assert dialect.relayed_error_event(body)
        dialect.error_status(body)


def _sent(dialect: Dialect, name: bytes, body: bytes) -> bytes:
    if dialect is BEDROCK_CONVERSE:
        names = ("messageStart", "contentBlockStart", "contentBlockDelta", "metadata")
        return b"".join(event_frame(each, body) for each in names)
    if dialect is OLLAMA_CHAT:
        return body + b"\n"
    return (b"event: %b\n" % name if name else b"") + b"data: %b\n\n" % body
