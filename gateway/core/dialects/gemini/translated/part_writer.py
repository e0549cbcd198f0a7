"""Blocks as the parts of contents."""

from __future__ import annotations

import mimetypes
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from ...canonical.call import (
    Audio,
    Block,
    Document,
    Image,
    RefusalText,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from ...canonical.fidelity import Fidelity
from ...canonical.reading import is_object
from ..state.signatures import FAMILY, taken_apart
from .call_ids import is_made

Part = dict[str, Any]
_NO_ARGUMENTS: Final = msgspec.Raw(b"{}")
# For arguments that are no JSON object, as Anthropic has it ("Fine-grained tool streaming").
_INVALID: Final = "INVALID_JSON"
_SIGNATURE: Final = "thoughtSignature"
# What a call has in place of a signature if it comes from another model
# (ai.google.dev/gemini-api/docs/thought-signatures, "FAQs").
_UNSIGNED: Final = "skip_thought_signature_validator"
_MEDIA_OF: Final = {"mp3": "audio/mpeg"}


class PartWriter:
    """Writes the contents of one conversation. `signs` says that calls need a signature."""

    def __init__(self, fidelity: Fidelity, *, signs: bool) -> None:
        self._fidelity = fidelity
        self._signs = signs
        # Responses say the name of the function that was called, other APIs only its id.
        self._names: dict[str, str] = {}

    def said(self, blocks: list[Block], path: str) -> list[Part]:
        """Return the parts of a model's content, with its signatures where they were."""
        content = _Said()
        for block in blocks:
            if isinstance(block, Thinking):
                if block.family == FAMILY:
                    content.think(block)
                else:
                    self._fidelity.hint(f"{path} (thinking)")
            elif (part := self._part(block, path)) is not None:
                content.add(part)
                if isinstance(block, ToolCall):
                    self._names[block.id] = block.name
        if not content.sign():
            self._fidelity.hint(f"{path} (thinking)")
        if self._signs and content.calls:
            content.calls[0].setdefault(_SIGNATURE, _UNSIGNED)
        return content.parts

    def asked(self, blocks: list[Block], path: str) -> list[Part]:
        """Return the parts of a user's content."""
        parts: list[Part] = []
        for block in blocks:
            if isinstance(block, ToolResult):
                parts += self._result(block, path)
            elif (part := self._part(block, path)) is not None:
                parts.append(part)
        return parts

    def _part(self, block: Block, path: str) -> Part | None:  # noqa: PLR0911  # a row for each kind
        if getattr(block, "cache", None) is not None:
            # Google's models cache by themselves (ai.google.dev/gemini-api/docs/caching, implicit).
            self._fidelity.hint("cache_control")
        if isinstance(block, Text | RefusalText):
            return {"text": block.text} if block.text else None
        if isinstance(block, ToolCall):
            return {"functionCall": _call(block)}
        if isinstance(block, Image):
            if block.detail not in (None, "auto"):
                self._fidelity.hint(f"{path} (detail)")
            if block.data is not None:
                return _inline(block.data, block.media_type or "image/png")
            return _file(block.url or "", "")
        if isinstance(block, Audio):
            return _inline(block.data, _MEDIA_OF.get(block.format, f"audio/{block.format}"))
        assert isinstance(block, Document)
        if block.text is not None:
            return {"text": block.text}
        if block.data is not None:
            return _inline(block.data, block.media_type)
        if block.url is not None:
            return _file(block.url, block.media_type or "application/pdf")
        self._fidelity.demand(f"{path} (file)", "a file by its id is known to one provider only")
        return None

    def _result(self, block: ToolResult, path: str) -> list[Part]:
        """Return a response, and behind it what is no text: models differ in what one may have."""
        if block.cache is not None:
            self._fidelity.hint("cache_control")
        texts = [each.text for each in block.blocks if isinstance(each, Text)]
        others = [each for each in block.blocks if not isinstance(each, Text)]
        text = "".join(texts)
        response: Any
        if block.is_error:
            response = {"error": text}
        elif is_object(text):
            response = msgspec.Raw(text.encode())
        else:
            response = {"output": text}
        found: Part = {"name": self._names.get(block.id, block.id), "response": response}
        if not is_made(block.id):
            found["id"] = block.id
        parts: list[Part] = [{"functionResponse": found}]
        written = (self._part(each, path) for each in others)
        return parts + [part for part in written if part is not None]


class _Said:
    """The parts of a model's content, and signatures that still look for theirs."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.calls: list[Part] = []
        self._of_calls: list[tuple[int, str]] = []
        self._of_texts: list[str] = []
        self._last: list[str] = []

    def add(self, part: Part) -> None:
        self.parts.append(part)
        if "functionCall" in part:
            self.calls.append(part)
        elif "text" in part and self._of_texts:
            # In chats all thinking stands in front of the text.
            part[_SIGNATURE] = self._of_texts.pop(0)

    def think(self, block: Thinking) -> None:
        """Take a thought: its text becomes a part, its signature goes to where it was."""
        found = taken_apart(block.signature)
        if block.text:
            self.parts.append({"text": block.text, "thought": True})
        if found is None:
            return
        place, number, signature = found
        last = self.parts[-1] if self.parts else {}
        if place == "c":
            self._of_calls.append((number, signature))
        elif place == "h" and not block.text:
            self.parts.append({"text": "", "thought": True, _SIGNATURE: signature})
        elif place == "e":
            self._last.append(signature)
        elif place == "h" or last.keys() == {"text"}:
            last[_SIGNATURE] = signature
        else:
            self._of_texts.append(signature)

    def sign(self) -> bool:
        """Put the rest of the signatures where they belong; say whether all of them have a place.

        What stood at a text that is gone stands at an empty one.
        """
        self.parts += [{"text": "", _SIGNATURE: each} for each in (*self._of_texts, *self._last)]
        for number, signature in self._of_calls:
            if number < len(self.calls):
                self.calls[number].setdefault(_SIGNATURE, signature)
        return all(number < len(self.calls) for number, _ in self._of_calls)


def _call(block: ToolCall) -> Part:
    text = block.arguments
    arguments: Any = _NO_ARGUMENTS
    if block.custom:
        arguments = {"input": text}
    elif is_object(text):
        arguments = msgspec.Raw(text.encode())
    elif text.strip():
        arguments = {_INVALID: text}
    found: Part = {"name": block.name, "args": arguments}
    return found if is_made(block.id) else {"id": block.id, **found}


def _inline(data: str, media: str) -> Part:
    return {"inlineData": {"mimeType": media, "data": data}}


def _file(url: str, media: str) -> Part:
    guessed = mimetypes.guess_type(urlsplit(url).path)[0]
    found = {"fileUri": url}
    if guessed or media:
        found["mimeType"] = guessed or media
    return {"fileData": found}
