"""The bytes that the fake provider sends, rendered once.

Shaped after OpenAI's own (about 280 bytes an event), each event in an HTTP chunk of its own, and
each with the time of its sending inside the text: `@` + 19 digits of CLOCK_MONOTONIC in ns + `!`.
The width is fixed, so an event is two constant parts around the digits, and the load client on
the same machine reads the delay of each event off it, whatever a gateway does to the rest.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

STAMP: Final = re.compile(rb"@(\d{19})!")
_UNSTAMPED: Final = "0" * 19

PROVIDER_MODEL: Final = "fake-model"
_ID: Final = "chatcmpl-CkV7d2QmXw9sLr4TzB1nYp8uHe3Jg"
TOTAL_TOKENS: Final = 387
_USAGE: Final = {
    "prompt_tokens": 187,
    "completion_tokens": 200,
    "total_tokens": TOTAL_TOKENS,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
_WORDS: Final = (" the", " morning", " train", " leaves", " Lisbon", " at", " eight", ", then")

_COMMON_HEADERS: Final = (
    b"date: Mon, 02 Nov 2026 09:00:00 GMT\r\n"
    b"openai-organization: org-fake\r\n"
    b"openai-processing-ms: 42\r\n"
    b"openai-version: 2020-10-01\r\n"
    b"x-request-id: req_0f3c5a9d71e84b26\r\n"
    b"x-ratelimit-limit-requests: 10000\r\n"
    b"x-ratelimit-remaining-requests: 9999\r\n"
    b"x-ratelimit-reset-requests: 6ms\r\n"
)
STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\n"
    b"content-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\n" + _COMMON_HEADERS + b"transfer-encoding: chunked\r\n\r\n"
)
LAST_CHUNK: Final = b"0\r\n\r\n"


def answer(body: bytes) -> bytes:
    """Return a whole response around a JSON body."""
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        + _COMMON_HEADERS
        + b"content-length: %d\r\n\r\n" % len(body)
        + body
    )


def completion(model: str) -> bytes:
    """Return the JSON body of an answer that is not streamed."""
    text = "".join(_WORDS[index % len(_WORDS)] for index in range(60))
    message: dict[str, object] = {"role": "assistant", "content": text, "refusal": None}
    return msgspec.json.encode(
        {
            "id": _ID,
            "object": "chat.completion",
            "created": 1793610000,
            "model": model,
            "choices": [
                {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
            ],
            "usage": _USAGE,
            "service_tier": "default",
            "system_fingerprint": "fp_b3f1c7a2d9",
        }
    )


class Stream:
    """One streamed answer of `events` stamped events, ready to be sent piece by piece.

    With `usage` (`stream_options.include_usage`) every event has `"usage":null` and one more at
    the end has the numbers, as OpenAI does it.
    """

    def __init__(self, model: str, events: int, *, usage: bool, framed: bool = True) -> None:
        self._model = model
        self._usage = usage
        # Without framing for servers that do the chunks themselves.
        self._frame = _chunk if framed else bytes
        self.pieces = [self._content(index) for index in range(events)]
        self.end = self._end()
        self._burst = b"".join(self.piece(index, 0) for index in range(events)) + self.end

    def __len__(self) -> int:
        return len(self.pieces)

    def piece(self, index: int, now_ns: int) -> bytes:
        """Return event number `index`, framed, stamped with `now_ns`."""
        before, after = self.pieces[index]
        return b"%b%019d%b" % (before, now_ns, after)

    def burst(self, now_ns: int) -> bytes:
        """Return the whole body, framed, every event stamped with `now_ns`."""
        return self._burst.replace(_UNSTAMPED.encode(), b"%019d" % now_ns)

    def _content(self, index: int) -> tuple[bytes, bytes]:
        delta = {"role": "assistant"} if index == 0 else {}
        text = f"@{_UNSTAMPED}!{_WORDS[index % len(_WORDS)]}"
        event = self._event([_choice({**delta, "content": text})], None)
        before, after = event.split(_UNSTAMPED.encode())
        return before, after

    def _end(self) -> bytes:
        end = self._event([_choice({}, finish_reason="stop")], None)
        if self._usage:
            end += self._event([], _USAGE)
        end += self._frame(b"data: [DONE]\n\n")
        return end + LAST_CHUNK if self._frame is _chunk else end

    def _event(self, choices: list[object], usage: object) -> bytes:
        chunk: dict[str, object] = {
            "id": _ID,
            "object": "chat.completion.chunk",
            "created": 1793610000,
            "model": self._model,
            "service_tier": "default",
            "system_fingerprint": "fp_b3f1c7a2d9",
            "choices": choices,
        }
        if self._usage:
            chunk["usage"] = usage
        return self._frame(b"data: " + msgspec.json.encode(chunk) + b"\n\n")


def _choice(delta: object, finish_reason: str | None = None) -> object:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
