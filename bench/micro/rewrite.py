"""What one event costs in the whole rewriter: decode, check, splice, encode."""

from __future__ import annotations

import timeit
from typing import Final

from gateway.core.dialects.openai_chat.stream import ChatStreamRewriter

_EVENT: Final = (
    b'data: {"id":"chatcmpl-AbCdEfGh123456789","object":"chat.completion.chunk",'
    b'"created":1732345678,"model":"gpt-4o-2024-08-06","service_tier":"default",'
    b'"system_fingerprint":"fp_abcdef1234","choices":[{"index":0,"delta":{"content":" hello"},'
    b'"logprobs":null,"finish_reason":null}]%b}\n\n'
)
_PLAIN: Final = _EVENT % b""
_NULL_USAGE: Final = _EVENT % b',"usage":null'
_ROUNDS: Final = 20_000


def _rewriter(*, keep_usage: bool) -> ChatStreamRewriter:
    rewriter = ChatStreamRewriter(b'"gpt-4o"', keep_usage=keep_usage, max_event_bytes=1 << 24)
    rewriter.feed(_NULL_USAGE)
    return rewriter


def run() -> dict[str, float]:
    """Return microseconds per event."""
    cases = {
        "rewrite, one event a chunk": (_rewriter(keep_usage=True), _PLAIN, 1),
        "rewrite, one event a chunk, null usage taken out": (
            _rewriter(keep_usage=False),
            _NULL_USAGE,
            1,
        ),
        "rewrite, 64 events a chunk": (_rewriter(keep_usage=True), _PLAIN * 64, 64),
        "rewrite, 64 events a chunk, null usage taken out": (
            _rewriter(keep_usage=False),
            _NULL_USAGE * 64,
            64,
        ),
    }
    found = {}
    for name, (rewriter, chunk, events) in cases.items():
        feed, rounds = rewriter.feed, _ROUNDS // events
        best = min(timeit.repeat(lambda: feed(chunk), number=rounds, repeat=5))  # noqa: B023
        found[name] = best / rounds / events * 1e6
    return found


if __name__ == "__main__":
    for label, microseconds in run().items():
        print(f"{microseconds:8.2f} µs  {label}")
