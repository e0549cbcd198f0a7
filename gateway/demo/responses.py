"""OpenAI's Responses. Nothing is kept, so no request can go on from another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec

from .reply import NotKept, count, encode, id_of, say

_Limit = Annotated[int, msgspec.Meta(ge=1)]
_Item = dict[str, object]


class _Question(msgspec.Struct):
    model: str
    input: str | list[_Item] = ""
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: _Limit | None = None
    previous_response_id: str | None = None

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield who says what."""
        if isinstance(self.input, str):
            yield "user", self.input
            return
        for item in self.input:
            if "content" in item:
                yield str(item.get("role", "")), _text(item["content"])

    @property
    def tokens(self) -> int:
        return count(self.instructions or "") + sum(count(text) for _, text in self.texts())


def _text(content: object) -> str:
    if not isinstance(content, list):
        return str(content or "")
    parts = (part for part in content if isinstance(part, dict))
    return " ".join(str(part["text"]) for part in parts if "text" in part)


_decode: Final = msgspec.json.Decoder(_Question).decode


class ResponseAnswer:
    """An answer of one message."""

    def __init__(self, body: bytes, created: int) -> None:
        asked = _decode(body)
        if asked.previous_response_id is not None:
            raise NotKept("the demo provider keeps no responses")
        self.stream = bool(asked.stream)
        limit = asked.max_output_tokens or math.inf
        said = [text for role, text in asked.texts() if role == "user"]
        words = say(said[-1] if said else "")
        self.tokens = words if len(words) <= limit else words[: int(limit)]
        self.pace = len(self.tokens)
        whole = len(words) <= limit
        self.status = "completed" if whole else "incomplete"
        number, used = id_of(body), asked.tokens
        self._item = {"id": f"msg_{number}", "type": "message", "role": "assistant"}
        self._usage = {
            "input_tokens": used,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": len(self.tokens),
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": used + len(self.tokens),
        }
        self._common = {
            "id": f"resp_{number}",
            "object": "response",
            "created_at": created,
            "model": asked.model,
            "error": None,
            "incomplete_details": None if whole else {"reason": "max_output_tokens"},
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "metadata": {},
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "store": False,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
        }

    def whole(self) -> bytes:
        return encode(self._finished())

    def events(self) -> Iterator[bytes]:
        begun = self._common | {"status": "in_progress", "output": [], "usage": None}
        place = {"item_id": self._item["id"], "output_index": 0, "content_index": 0}
        item = self._item | {"status": "in_progress", "content": []}
        events: list[tuple[str, _Item]] = [
            ("created", {"response": begun | {"incomplete_details": None}}),
            ("in_progress", {"response": begun | {"incomplete_details": None}}),
            ("output_item.added", {"output_index": 0, "item": item}),
            ("content_part.added", place | {"part": _part("")}),
            *(
                ("output_text.delta", place | {"delta": each, "logprobs": []})
                for each in self.tokens
            ),
            ("output_text.done", place | {"text": "".join(self.tokens), "logprobs": []}),
            ("content_part.done", place | {"part": _part("".join(self.tokens))}),
            ("output_item.done", {"output_index": 0, "item": self._message()}),
            (self.status, {"response": self._finished()}),
        ]
        for number, (name, members) in enumerate(events):
            kind = f"response.{name}"
            event = {"type": kind, "sequence_number": number} | members
            yield b"event: %b\ndata: %b\n\n" % (kind.encode(), encode(event))

    def _message(self) -> _Item:
        return self._item | {"status": self.status, "content": [_part("".join(self.tokens))]}

    def _finished(self) -> _Item:
        end = {"status": self.status, "output": [self._message()], "usage": self._usage}
        return self._common | end


class InputTokens:
    """How many tokens an input has."""

    stream = False
    pace = 1

    def __init__(self, body: bytes, created: int) -> None:
        self._tokens = _decode(body).tokens

    def whole(self) -> bytes:
        return encode({"object": "response.input_tokens", "input_tokens": self._tokens})

    def events(self) -> Iterator[bytes]:
        yield from ()


def _part(text: str) -> _Item:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
