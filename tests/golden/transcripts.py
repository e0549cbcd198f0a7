"""Streams in the ways of real providers, each with what a caller must get, to the byte.

    NAME.sse                  what the provider sends to who asks for usage
    NAME.usage.expected.sse   what a caller gets who asks for the model `m`, and for usage
    NAME.expected.sse         what one gets who asks for the model `m` only

The names are those of providers whose ways are shown: Azure's first chunk without choices,
Gemini's tool call without an index and its usage beside content, OpenRouter's comments and its
error in the middle, vLLM's usage with every chunk, a server that numbers its events and ends
its lines in CRLF. They are composed after these, not recorded: ids and texts are made up. What
is expected was spelled out edit by edit, never taken from the gateway: if one of those files
must change, so does what callers see.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
DONE: Final = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Transcript:
    """`expected` is by whether usage was asked for. `failed` ends in an error, without DONE."""

    name: str
    sent: bytes
    expected: dict[bool, bytes]

    @property
    def failed(self) -> bool:
        return not self.expected[True].endswith(DONE)

    def sent_to(self, *, wants_usage: bool) -> bytes:
        """Return what the provider sends to a caller of its own, by OpenAI's rule on usage.

        That is: no usage unless it was asked for. Written with `json` and nothing of the
        gateway's, so that the two can be compared.
        """
        if wants_usage:
            return self.sent
        # As a provider would write them, so with its own line ends.
        end = b"\r\n" if b"\r\n" in self.sent else b"\n"
        blocks = self.sent.split(2 * end)[:-1]
        kept = (_without_usage(block, end) for block in blocks)
        return b"".join(block + 2 * end for block in kept if block is not None)


def _without_usage(block: bytes, end: bytes) -> bytes | None:
    lines = block.split(end)
    for number, line in enumerate(lines):
        if line.startswith(b"data: {"):
            chunk = json.loads(line.removeprefix(b"data: "))
            if chunk.pop("usage", None) and not chunk["choices"]:
                return None
            lines[number] = b"data: " + json.dumps(chunk).encode()
    return end.join(lines)


def _load(name: str) -> Transcript:
    return Transcript(
        name,
        (HERE / f"{name}.sse").read_bytes(),
        {
            True: (HERE / f"{name}.usage.expected.sse").read_bytes(),
            False: (HERE / f"{name}.expected.sse").read_bytes(),
        },
    )


TRANSCRIPTS: Final = tuple(
    _load(file.name.removesuffix(".sse"))
    for file in sorted(HERE.glob("*.sse"))
    if not file.name.endswith(".expected.sse")
)
