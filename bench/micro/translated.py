"""What one event costs for each caller on each provider: sixteen pairs of four dialects.

The four of one dialect on both sides are what the others are held against: a translated event may
cost 2.5 times what one costs within its caller's dialect or its provider's.
"""

from __future__ import annotations

import json
import timeit
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect, ReasoningForm, StreamRewriter
from gateway.core.dialects.gemini.dialect import GEMINI
from gateway.core.dialects.model_terms import USUAL, ModelTerms
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.dialects.translators import translate
from gateway.core.records.counting import UsageRule

# Many short rounds: the best of them is one that nothing else has disturbed.
_ROUNDS: Final = 160
_REPEATS: Final = 60
_RESPONSE: Final = {"id": "resp_1", "object": "response", "model": "gpt-4o", "output": []}
_ITEM: Final = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}


@dataclass
class _To:
    dialect: Dialect
    model_json: bytes = b'"real"'
    stream_usage: bool = True
    usage_rule: UsageRule = "usual"
    provider: str = "p"
    reasoning: ReasoningForm = "none"
    default_max_tokens: int = 8192
    max_output_tokens: int | None = None
    drops: bool = False
    caches_prompts: bool = False
    terms: ModelTerms = USUAL


def _event(kind: str, **members: Any) -> bytes:
    data = json.dumps({"type": kind, **members}, separators=(",", ":")).encode()
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


_CHUNK: Final = (
    b'data: {"id":"chatcmpl-AbCdEfGh123456789","object":"chat.completion.chunk",'
    b'"created":1732345678,"model":"gpt-4o-2024-08-06","service_tier":"default",'
    b'"system_fingerprint":"fp_abcdef1234","choices":[{"index":0,"delta":{"content":" hello"},'
    b'"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
)
_CONTENT: Final = (
    b'data: {"candidates":[{"content":{"parts":[{"text":" hello"}],"role":"model"},"index":0}],'
    b'"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":29,"totalTokenCount":294,'
    b'"promptTokensDetails":[{"modality":"TEXT","tokenCount":9}],"thoughtsTokenCount":256},'
    b'"modelVersion":"gemini-3-pro-preview","responseId":"dX6LadKVC7SZ28oPr9yJoQs"}\r\n\r\n'
)
# By the dialect of a provider: how its stream begins, and a piece of text.
_STREAMS: Final = {
    OPENAI_CHAT.name: (_CHUNK, _CHUNK),
    ANTHROPIC_MESSAGES.name: (
        _event(
            "message_start",
            message={"id": "msg_1", "content": [], "model": "x", "usage": {"input_tokens": 9}},
        )
        + _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        _event("content_block_delta", index=0, delta={"type": "text_delta", "text": " hello"}),
    ),
    OPENAI_RESPONSES.name: (
        _event("response.created", sequence_number=0, response=_RESPONSE)
        + _event("response.output_item.added", sequence_number=1, output_index=0, item=_ITEM),
        _event(
            "response.output_text.delta",
            sequence_number=4,
            item_id="msg_0bac52ec5f239d30016a614600c5d08192922272df0fea908a",
            output_index=0,
            content_index=0,
            delta=" hello",
            logprobs=[],
            obfuscation="xZVRU4zcUhCpWal",
        ),
    ),
    GEMINI.name: (_CONTENT, _CONTENT),
}
_DIALECTS: Final = (OPENAI_CHAT, ANTHROPIC_MESSAGES, OPENAI_RESPONSES, GEMINI)


def _rewriter(caller: Dialect, provider: Dialect) -> StreamRewriter:
    body: dict[str, Any] = {"model": "m", "stream": True, "max_tokens": 9}
    if caller is OPENAI_RESPONSES:
        body = {"model": "m", "stream": True, "input": "Hi"}
    elif caller is GEMINI:
        body = {"model": "m", "stream": True, "contents": [{"parts": [{"text": "Hi"}]}]}
    else:
        body["messages"] = [{"role": "user", "content": "Hi"}]
    request = caller.read_request(json.dumps(body).encode())
    if caller is not provider:
        request = translate(request, caller, _To(provider), 0.0)
    rewriter = request.start_stream(_To(provider), b'"m"', 1 << 24)
    begin, piece = _STREAMS[provider.name]
    rewriter.feed(begin + piece)
    return rewriter


def run() -> dict[str, float]:
    """Return microseconds per event."""
    found = {}
    for events in (1, 8):
        for provider in _DIALECTS:
            chunk = _STREAMS[provider.name][1] * events
            for caller in _DIALECTS:
                feed = _rewriter(caller, provider).feed
                rounds = _ROUNDS // events
                best = min(timeit.repeat(lambda: feed(chunk), number=rounds, repeat=_REPEATS))  # noqa: B023
                name = f"{provider.name} for {caller.name}, {events} a chunk"
                found[name] = best / rounds / events * 1e6
    return found
