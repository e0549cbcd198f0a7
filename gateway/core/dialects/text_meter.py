"""How much text has come out of an answer, for when its provider does not say.

Content, reasoning, refusals and the arguments of tools are what a model has made; keys, roles,
ids and base64 are not. To look into every delta of a stream would cost as much as everything
else that is done with it. So most events are counted by their length, and how much of that is no
text is learned from the first ones and from every 32nd.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

from ..limits.estimate import BYTES_PER_TOKEN

_DECODER: Final = msgspec.json.Decoder()
# These are never learned from others: a picture in base64 is long, and so is what is sent at once.
_LARGE: Final = 1024
_FIRST: Final = 8
_EVERY: Final = 32
# Members that hold no text of the model's: names, marks and base64.
_NO_TEXT: Final = frozenset(
    {
        *("role", "id", "type", "object", "index", "format", "signature", "encrypted_content"),
        *("data", "url", "b64_json", "audio_url", "image_url", "images"),
        *("finish_reason", "stop_reason", "native_finish_reason", "logprobs", "annotations"),
        *("citations", "search_results", "usage", "expires_at", "executed_tools"),
        *("thoughtSignature", "mimeType", "fileUri", "willContinue", "jsonPath"),
    }
)
# One text under two names, as servers have it that changed the name (vLLM).
_AGAIN: Final = "reasoning_content"
_ONCE: Final = "reasoning"
# The same in parts, beside one of these two or instead of them: OpenRouter's, Anthropic's as
# LiteLLM has them, and LiteLLM's for what its providers send beside OpenAI's members.
_IN_PARTS: Final = frozenset({"reasoning_details", "thinking_blocks", "provider_specific_fields"})
_ARGUMENTS: Final = frozenset({"arguments", "args"})
# Deeper than any message is.
_DEPTH: Final = 12


class _Choice(Protocol):
    @property
    def delta(self) -> msgspec.Raw | msgspec.UnsetType: ...


class TextMeter:
    """Counts the text of one answer as its events come."""

    __slots__ = ("_around", "_first", "_pieces", "_size", "_skipped", "_unseen")

    def __init__(self) -> None:
        self._size = 0
        self._pieces = 0
        # How much of an event is no text, how many are to be measured before any is passed over,
        # and how many may still be; of those that were, the bytes.
        self._around = 0
        self._first = _FIRST
        self._unseen = 0
        self._skipped = 0

    def __repr__(self) -> str:
        return f"<TextMeter {self.size} bytes>"

    @property
    def size(self) -> int:
        """Return about how many bytes of text have come."""
        return self._size + self._passed_over()[0]

    @property
    def tokens(self) -> int:
        """Return about how many tokens the text has: a piece is hardly less than one."""
        size, pieces = self._passed_over()
        return max(-(-(self._size + size) // BYTES_PER_TOKEN), self._pieces + pieces)

    def event(self, choices: Sequence[_Choice], length: int) -> None:
        """Count one event of `length` bytes, with these choices."""
        if self._unseen and length < _LARGE:
            self._unseen -= 1
            self._skipped += length
            return
        self._measure(choices, length)

    def _passed_over(self) -> tuple[int, int]:
        """Return the text of the events since the last one that was measured, and their number."""
        if not self._skipped:
            return 0, 0
        count = _EVERY - self._unseen
        size = self._skipped - count * self._around
        return (size, count) if size > 0 else (0, 0)

    def _measure(self, choices: Sequence[_Choice], length: int) -> None:
        size = 0
        for choice in choices:
            if isinstance(choice.delta, msgspec.Raw):
                size += _measured(choice.delta)
        if size:
            self._size += size
            self._pieces += 1
        if length >= _LARGE:
            # No example for others, and they go on being passed over.
            return
        passed_over, pieces = self._passed_over()
        self._size += passed_over
        self._pieces += pieces
        self._skipped = 0
        if size:
            # Escapes make a text longer in JSON than it is; by this they are no text either.
            self._around = length - size
        if self._first:
            self._first -= 1
        else:
            self._unseen = _EVERY

    def add_piece(self, size: int) -> None:
        """Count one piece of `size` bytes of text."""
        self._size += size
        self._pieces += 1

    def add_found(self, delta: object) -> None:
        """Count one delta that has been decoded."""
        size = text_size(delta)
        if size:
            self._size += size
            self._pieces += 1


def _measured(delta: msgspec.Raw) -> int:
    try:
        return text_size(_DECODER.decode(delta))
    except (msgspec.DecodeError, RecursionError):
        # Lone surrogates, for one. No telling how much of it is text.
        return len(delta)


def text_size(found: object, depth: int = _DEPTH) -> int:
    """Return how many bytes of text are in a delta or a message, or in a part of one."""
    if isinstance(found, str):
        return len(found) if found.isascii() else len(found.encode("utf-8", "surrogatepass"))
    if depth == 0:
        return 0
    if isinstance(found, list):
        return sum(text_size(each, depth - 1) for each in found)
    if isinstance(found, dict):
        size = 0
        for key, value in found.items():
            if not value or key in _NO_TEXT:
                continue
            if key == _ONCE and found.get(_AGAIN) == value:
                continue
            if key in _IN_PARTS and (found.get(_ONCE) or found.get(_AGAIN)):
                continue
            if key in _ARGUMENTS and isinstance(value, dict):
                # Some send a tool's arguments as an object, whose members are all text.
                size += _json_size(value)
            else:
                size += text_size(value, depth - 1)
        return size
    return 0


def _json_size(value: dict[str, Any]) -> int:
    try:
        return len(msgspec.json.encode(value))
    except UnicodeEncodeError:
        # A lone surrogate, which JSON may have as an escape.
        return len(json.dumps(value, separators=(",", ":")))


def answer_tokens(choices: bytes | None) -> int:
    """Return about how many tokens the `choices` of a whole answer have, given as JSON."""
    if choices is None:
        return 0
    try:
        found: Any = json.loads(choices, parse_int=float)
    except (ValueError, RecursionError):
        return len(choices) // BYTES_PER_TOKEN
    return -(-text_size(found) // BYTES_PER_TOKEN)
