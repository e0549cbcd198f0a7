"""What finding and rewriting members of a JSON body costs: `python -m bench.micro.splice`."""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable
from typing import Final

from gateway.core.wire.splice import check_unique, members, splice

from .sse import CHUNK

MODEL: Final = b'"gpt-4o-mini"'


def _request(size: int) -> dict[str, object]:
    turn = "The quick brown fox jumps over the lazy dog.\n" * 10
    count = size // (len(turn) + 40)
    return {
        "model": "fast",
        "messages": [{"role": ("user", "assistant")[n % 2], "content": turn} for n in range(count)],
        "temperature": 0.7,
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [],
        "user": "u-1",
    }


def _best(function: Callable[[], object]) -> float:
    """Return the best time of `function` in µs."""
    timer = timeit.Timer(function)
    number = max(1, timer.autorange()[0] // 10)
    return min(timer.repeat(repeat=9, number=number)) / number * 1e6


def run() -> dict[str, float]:
    """Return µs per call, by what was measured."""
    request = _request(15_000)
    compact = json.dumps(request, separators=(",", ":")).encode()
    bodies = {
        "chunk of 300 B": CHUNK,
        "chunk, not ASCII": CHUNK.replace(b" hello", " höllo ✓".encode()),
        "request of 15 KB": compact,
        "request, Python's spaces": json.dumps(request).encode(),
        "request, indented": json.dumps(request, indent=2).encode(),
        "request, a key twice": compact[:-1] + b',"user":"u-2"}',
    }
    results: dict[str, float] = {}
    for name, body in bodies.items():
        results[f"members: {name}"] = _best(lambda body=body: members(body))  # type: ignore[misc]
    found = members(compact)
    results["check_unique: request"] = _best(lambda: check_unique(found))
    results["splice: model of a chunk"] = _best(lambda: splice(CHUNK, replace={"model": MODEL}))
    results["splice: usage out of a chunk"] = _best(lambda: splice(CHUNK, remove=("usage",)))
    results["splice: model of a request"] = _best(lambda: splice(compact, put={"model": MODEL}))
    results["splice: the same, members known"] = _best(
        lambda: splice(compact, put={"model": MODEL}, known=found)
    )
    return results


def main() -> None:
    for name, micros in run().items():
        print(f"{name:<36} {micros:8.2f} µs")


if __name__ == "__main__":
    main()
