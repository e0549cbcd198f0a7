"""How much text has come out of an answer, for when its provider does not say.

Content, reasoning, refusals and the arguments of tools are what a model has made; keys, roles,
ids and base64 are not. To look into every delta of a stream would cost as much as everything
else that is done with it. So every delta is counted by its length, and how much of that is no
text is learned from the first ones and from every sixteenth.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from ...limits.estimate import BYTES_PER_TOKEN

_DECODER: Final = msgspec.json.Decoder()
# These are never learned from others: a picture in base64 is long, and so is what is sent at once.
_LARGE: Final = 1024
_FIRST: Final = 8
_EVERY: Final = 16
# Members that hold no text of the model's: names, marks, base64, and OpenRouter's copy of its
# `reasoning`.
_NO_TEXT: Final = frozenset(
    {
        *("role", "id", "type", "object", "index", "format", "signature", "encrypted_content"),
        *("data", "url", "b64_json", "audio_url", "image_url", "images", "reasoning_details"),
        *("finish_reason", "stop_reason", "native_finish_reason", "logprobs", "annotations"),
        *("citations", "search_results", "usage", "expires_at", "executed_tools"),
    }
)
# One text under two names, as servers have it that changed the name (vLLM).
_SAME: Final = ("reasoning_content", "reasoning")
# Deeper than any message is.
_DEPTH: Final = 12


class TextMeter:
    """Counts the text of the deltas of one answer. `pieces` are those that had some."""

    __slots__ = ("_around", "_deltas", "pieces", "size")

    def __init__(self) -> None:
        self.size = 0
        self.pieces = 0
        self._deltas = 0
        self._around = 0

    def __repr__(self) -> str:
        return f"<TextMeter {self.size} bytes in {self.pieces} pieces>"

    @property
    def tokens(self) -> int:
        """Return about how many tokens the text has: a piece is hardly less than one."""
        return max(-(-self.size // BYTES_PER_TOKEN), self.pieces)

    def add(self, delta: msgspec.Raw) -> None:
        """Count one delta, as JSON."""
        length = len(delta)
        self._deltas = deltas = self._deltas + 1
        if deltas > _FIRST and deltas % _EVERY and length < _LARGE:
            length -= self._around
            if length > 0:
                self.size += length
                self.pieces += 1
            return
        self._measure(delta, length)

    def _measure(self, delta: msgspec.Raw, length: int) -> None:
        try:
            found = _DECODER.decode(delta)
        except (msgspec.DecodeError, RecursionError):
            # Lone surrogates, for one. No telling how much of it is text.
            found = bytes(delta).decode("utf-8", "replace")
        size = text_size(found)
        if size:
            self.size += size
            self.pieces += 1
        if size and length < _LARGE:
            # Escapes make a text longer in JSON than it is; by this they are no text either.
            self._around = max(0, length - size)

    def add_found(self, delta: object) -> None:
        """Count one delta that has been decoded."""
        size = text_size(delta)
        if size:
            self.size += size
            self.pieces += 1


def text_size(found: object, depth: int = _DEPTH) -> int:
    """Return how many bytes of text are in a delta or a message, or in a part of one."""
    if isinstance(found, str):
        return len(found.encode("utf-8", "surrogatepass"))
    if depth == 0:
        return 0
    if isinstance(found, list):
        return sum(text_size(each, depth - 1) for each in found)
    if isinstance(found, dict):
        # Some servers send a tool's arguments as an object, whose members are all text.
        arguments = found.get("arguments")
        made = len(msgspec.json.encode(arguments)) if isinstance(arguments, dict) else 0
        twice = found.keys() >= {*_SAME} and found[_SAME[0]] == found[_SAME[1]]
        return made + sum(
            text_size(value, depth - 1)
            for key, value in found.items()
            if key not in _NO_TEXT
            and not (twice and key == _SAME[1])
            and not (made and key == "arguments")
        )
    return 0


def answer_tokens(choices: bytes | None) -> int:
    """Return about how many tokens the `choices` of a whole answer have, given as JSON."""
    if choices is None:
        return 0
    try:
        found: Any = json.loads(choices, parse_int=float)
    except (ValueError, RecursionError):
        return len(choices) // BYTES_PER_TOKEN
    return -(-text_size(found) // BYTES_PER_TOKEN)
