"""OpenAI's Responses. Nothing is kept, so no request can go on from another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec

from .reply import NotKept, count, encode, id_of, say
from .tools import THOUGHT, arguments_for

_Limit = Annotated[int, msgspec.Meta(ge=1)]
_Item = dict[str, object]
_BEGUN: Final[_Item] = {"status": "in_progress"}


class _Tool(msgspec.Struct):
    type: str = ""
    name: str = ""
    parameters: object = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None


class _Question(msgspec.Struct):
    model: str
    input: str | list[_Item] = ""
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: _Limit | None = None
    previous_response_id: str | None = None
    tools: list[_Tool] | None = None
    reasoning: _Reasoning | None = None

    @property
    def function(self) -> _Tool | None:
        """Return the tool that is asked for: the first, once."""
        items = self.input if isinstance(self.input, list) else []
        if items and items[-1].get("type") == "function_call_output":
            return None
        return next((each for each in self.tools or () if each.type == "function"), None)

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
    """An answer: thinking if that is asked for, a message, and a call if there is a tool."""

    def __init__(self, body: bytes, created: int) -> None:
        asked = _decode(body)
        if asked.previous_response_id is not None:
            raise NotKept("the demo provider keeps no responses")
        self.stream = bool(asked.stream)
        limit = asked.max_output_tokens or math.inf
        said = [text for role, text in asked.texts() if role == "user"]
        tool = asked.function
        words = say(said[-1] if said else "") if tool is None else ["I will ", "look."]
        self.tokens = words if len(words) <= limit else words[: int(limit)]
        self.pace = len(self.tokens)
        whole = len(words) <= limit
        self.status = "completed" if whole else "incomplete"
        number, used = id_of(body), asked.tokens
        self._item = {"id": f"msg_{number}", "type": "message", "role": "assistant"}
        effort = None if asked.reasoning is None else asked.reasoning.effort
        self._reasoning: _Item | None = None
        if effort not in (None, "none"):
            self._reasoning = {"id": f"rs_{number}", "type": "reasoning"}
        self._call: _Item | None = None
        if tool is not None and whole:
            self._call = {
                "id": f"fc_{number}",
                "type": "function_call",
                "call_id": f"call_{number}",
                "name": tool.name,
                "arguments": encode(arguments_for(tool.parameters)).decode(),
            }
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
        events: list[tuple[str, _Item]] = [
            ("created", {"response": begun | {"incomplete_details": None}}),
            ("in_progress", {"response": begun | {"incomplete_details": None}}),
        ]
        for index, item in enumerate(self._output()):
            events += self._events_of(item, index)
        events.append((self.status, {"response": self._finished()}))
        for number, (name, members) in enumerate(events):
            kind = f"response.{name}"
            event = {"type": kind, "sequence_number": number} | members
            yield b"event: %b\ndata: %b\n\n" % (kind.encode(), encode(event))

    def _events_of(self, item: _Item, index: int) -> list[tuple[str, _Item]]:
        place: _Item = {"item_id": item["id"], "output_index": index}
        if item["type"] == "message":
            begun, told = item | {"content": []}, self._of_message(place | {"content_index": 0})
        elif item["type"] == "reasoning":
            begun, told = item | {"summary": []}, _of_reasoning(place | {"summary_index": 0})
        else:
            text = item["arguments"]
            begun = item | {"arguments": ""}
            told = [
                ("function_call_arguments.delta", place | {"delta": text}),
                ("function_call_arguments.done", place | {"arguments": text}),
            ]
        return [
            ("output_item.added", {"output_index": index, "item": begun | _BEGUN}),
            *told,
            ("output_item.done", {"output_index": index, "item": item}),
        ]

    def _of_message(self, place: _Item) -> list[tuple[str, _Item]]:
        text = "".join(self.tokens)
        return [
            ("content_part.added", place | {"part": _part("")}),
            *(
                ("output_text.delta", place | {"delta": each, "logprobs": []})
                for each in self.tokens
            ),
            ("output_text.done", place | {"text": text, "logprobs": []}),
            ("content_part.done", place | {"part": _part(text)}),
        ]

    def _output(self) -> list[_Item]:
        found: list[_Item] = []
        if self._reasoning is not None:
            part = {"type": "summary_text", "text": "".join(THOUGHT)}
            secret = {"encrypted_content": "ZGVtbw==", "status": "completed"}
            found.append(self._reasoning | {"summary": [part]} | secret)
        content = [_part("".join(self.tokens))]
        found.append(self._item | {"status": self.status, "content": content})
        if self._call is not None:
            found.append(self._call | {"status": "completed"})
        return found

    def _finished(self) -> _Item:
        end = {"status": self.status, "output": self._output(), "usage": self._usage}
        return self._common | end


def _of_reasoning(place: _Item) -> list[tuple[str, _Item]]:
    text = "".join(THOUGHT)
    return [
        ("reasoning_summary_part.added", place | {"part": {"type": "summary_text", "text": ""}}),
        *(("reasoning_summary_text.delta", place | {"delta": each}) for each in THOUGHT),
        ("reasoning_summary_text.done", place | {"text": text}),
        ("reasoning_summary_part.done", place | {"part": {"type": "summary_text", "text": text}}),
    ]


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
