"""A stream that a provider sent instead of a whole answer, put together to one.

The answer was generated and will be billed, so it is worth more than an error. Texts of one
kind that follow each other are one part, and arguments that come in pieces are an object again.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...wire.sse import SseDecoder
from ..base import Answer
from ..defaults.assembled import MAX_ASSEMBLED, assembled
from .stream import GeminiStreamRewriter
from .translated.partial_arguments import PartialArguments

_Part = dict[str, msgspec.Raw]
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_TEXT: Final = msgspec.json.Decoder(str)
_ENCODE: Final = msgspec.json.Encoder().encode
_NO_INDEX: Final = msgspec.Raw(b"0")
_THOUGHT: Final = frozenset({"text", "thought"})


class _Candidate:
    """One candidate: its parts, and its other members."""

    def __init__(self) -> None:
        self.members: dict[str, Any] = {}
        self.role: Any = "model"
        self.parts: list[dict[str, Any]] = []
        self._texts: list[str] = []
        self._call: dict[str, Any] | None = None
        self._arguments = PartialArguments()

    def add(self, piece: dict[str, msgspec.Raw]) -> None:
        content = _OBJECT.decode(piece.pop("content", msgspec.Raw(b"{}")))
        self.members |= {key: value for key, value in piece.items() if bytes(value) != b"null"}
        self.role = content.get("role", self.role)
        for part in _ITEMS.decode(content.get("parts", msgspec.Raw(b"[]"))):
            if "functionCall" in part:
                self._add_call(part, _OBJECT.decode(part["functionCall"]))
            elif not self._goes_on(part):
                self.close()
                self.parts.append(dict(part))
                if "text" in part:
                    self._texts = [_TEXT.decode(part["text"])]

    def close(self) -> None:
        """End the text or the call that was the last part."""
        if len(self._texts) > 1:
            self.parts[-1]["text"] = "".join(self._texts)
        self._texts = []
        if self._call is not None:
            self._call["args"] = msgspec.Raw(self._arguments.json().encode())
            self._call = None

    def _goes_on(self, part: _Part) -> bool:
        """Add a text to one of the same kind before it; say whether that was possible."""
        if not self._texts or not part.keys() <= _THOUGHT or "text" not in part:
            return False
        last = self.parts[-1]
        if not last.keys() <= _THOUGHT or last.get("thought") != part.get("thought"):
            return False
        self._texts.append(_TEXT.decode(part["text"]))
        return True

    def _add_call(self, part: _Part, call: _Part) -> None:
        continues = bytes(call.pop("willContinue", b"false")) == b"true"
        pieces = call.pop("partialArgs", None)
        if self._call is None or "name" in call:
            self.close()
            found: dict[str, Any] = dict(call)
            self.parts.append(part | {"functionCall": found})
            if pieces is None and not continues:
                return
            self._call, self._arguments = found, PartialArguments()
        if pieces is not None:
            self._arguments.add(pieces)
        if not continues:
            self.close()


def assemble(body: bytes, model: bytes) -> Answer:
    """Return the answer that the stream `body` gives under the name `model`, which is JSON.

    Raises NotAnAnswer for a stream with an error in it and for one that is not whole.
    """
    return assembled(body, GeminiStreamRewriter(model, max_event_bytes=MAX_ASSEMBLED), _assemble)


def _assemble(events: bytes) -> bytes:
    answer: dict[str, Any] = {}
    candidates: dict[int, _Candidate] = {}
    for event in SseDecoder(MAX_ASSEMBLED * 2).feed(events):
        if event.data is None:
            continue
        chunk = _OBJECT.decode(event.data)
        for piece in _ITEMS.decode(chunk.pop("candidates", msgspec.Raw(b"[]"))):
            index = int(bytes(piece.get("index", _NO_INDEX)))
            candidates.setdefault(index, _Candidate()).add(piece)
        answer |= {key: value for key, value in chunk.items() if bytes(value) != b"null"}
    found = []
    for index in sorted(candidates):
        candidate = candidates[index]
        candidate.close()
        content = {"parts": candidate.parts, "role": candidate.role}
        found.append({"content": content, **candidate.members})
    return _ENCODE({"candidates": found, **answer} if found else answer)
