"""What decoding and encoding one server-sent event costs: `python -m bench.micro.sse`."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Final

from gateway.core.wire.sse import SseDecoder, SseEvent, encode

CHUNK: Final = (
    b'{"id":"chatcmpl-BxY2abcdefghijklmnopqrstuvwxyz","object":"chat.completion.chunk",'
    b'"created":1754382000,"model":"gpt-4o-mini-2024-07-18","service_tier":"default",'
    b'"system_fingerprint":"fp_34a54ae93c","choices":[{"index":0,"delta":{"content":" hello"},'
    b'"logprobs":null,"finish_reason":null}],"usage":null}'
)
BLOCK: Final = b"data: " + CHUNK + b"\n\n"
NAMED: Final = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":" hello"}}\n\n'
)
BURST: Final = 64
# A stream in TCP-sized pieces that respect no event's border.
SEGMENT: Final = 1448


def _best(function: Callable[[], object], events: int) -> float:
    """Return the best time of `function` in µs per event."""
    timer = timeit.Timer(function)
    number = max(1, 40_000 // events)
    return min(timer.repeat(repeat=7, number=number)) / number / events * 1e6


def _decode(chunks: list[bytes]) -> Callable[[], object]:
    decoder = SseDecoder()
    decoder.feed(b": hello\n\n")  # past the start of the stream

    def run() -> None:
        for chunk in chunks:
            decoder.feed(chunk)

    return run


def _pieces(stream: bytes, size: int) -> list[bytes]:
    return [stream[at : at + size] for at in range(0, len(stream), size)]


def run() -> dict[str, float]:
    """Return µs per event, by what was measured."""
    streams = {
        "burst of 64": [BLOCK * BURST],
        "one event a chunk": [BLOCK] * BURST,
        "one event a chunk, CRLF": [BLOCK.replace(b"\n", b"\r\n")] * BURST,
        "burst of 64, CRLF": [BLOCK.replace(b"\n", b"\r\n") * BURST],
        "segments of 1448 bytes": _pieces(BLOCK * BURST, SEGMENT),
        "each event in two": _pieces(BLOCK * BURST, len(BLOCK) // 2),
        "named, burst of 64": [NAMED * BURST],
        "named, one event a chunk": [NAMED] * BURST,
    }
    results = {f"decode: {name}": _best(_decode(chunks), BURST) for name, chunks in streams.items()}
    plain, named = SseEvent(CHUNK), SseEvent(CHUNK, b"content_block_delta")
    results["encode: data only"] = _best(lambda: encode(plain), 1)
    results["encode: named"] = _best(lambda: encode(named), 1)
    return results


def main() -> None:
    for name, micros in run().items():
        print(f"{name:<36} {micros * 1000:8.0f} ns/event")


if __name__ == "__main__":
    main()
