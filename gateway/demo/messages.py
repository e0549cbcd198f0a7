"""Anthropic's Messages, with thinking and tools, and the count of a prompt's tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import msgspec

from .reply import count, encode, id_of, say
from .tools import THOUGHT, arguments_for

_Limit = Annotated[int, msgspec.Meta(ge=1)]


class _Block(msgspec.Struct):
    type: str = ""
    text: str = ""


class _Said(msgspec.Struct):
    role: str
    content: str | list[_Block]

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return " ".join(block.text for block in self.content if block.text)

    @property
    def has_result(self) -> bool:
        content = self.content
        return isinstance(content, list) and any(each.type == "tool_result" for each in content)


class _Tool(msgspec.Struct):
    name: str
    input_schema: object = None


class _Thinking(msgspec.Struct):
    type: str = "disabled"


class _Request(msgspec.Struct):
    model: str
    messages: list[_Said]
    max_tokens: _Limit = 1024
    stream: bool | None = None
    tools: list[_Tool] | None = None
    thinking: _Thinking | None = None


_SIGNATURE: Final = "ZGVtbw=="
_request: Final = msgspec.json.Decoder(_Request).decode


class MessageAnswer:
    """Thinks if it is asked to; calls the first tool, or answers once that has a result."""

    def __init__(self, body: bytes, created: int) -> None:
        asked = _request(body)
        self.stream = bool(asked.stream)
        last = asked.messages[-1] if asked.messages else None
        calls = bool(asked.tools) and last is not None and not last.has_result
        said = [message.text for message in asked.messages if message.role == "user"]
        words = ["I will ", "look."] if calls else say(said[-1] if said else "")
        kept = words[: asked.max_tokens]
        self._stop = (
            "tool_use" if calls else "end_turn" if len(kept) == len(words) else "max_tokens"
        )
        thinks = asked.thinking is not None and asked.thinking.type in ("enabled", "adaptive")
        self._thought = THOUGHT if thinks else ()
        self._words = kept
        self._call: dict[str, object] | None = None
        if calls and asked.tools:
            tool = asked.tools[0]
            self._call = {
                "type": "tool_use",
                "id": f"toolu_{id_of(body)}",
                "name": tool.name,
                "input": arguments_for(tool.input_schema),
            }
        self._id = f"msg_{id_of(body)}"
        self._model = asked.model
        self.pace = len(self._thought) + len(kept)
        self._input = sum(count(message.text) for message in asked.messages)

    @property
    def _usage(self) -> dict[str, int]:
        return {"input_tokens": self._input, "output_tokens": self.pace}

    def whole(self) -> bytes:
        content: list[dict[str, object]] = []
        if self._thought:
            thought = {
                "type": "thinking",
                "thinking": "".join(self._thought),
                "signature": _SIGNATURE,
            }
            content.append({**thought})
        content.append({"type": "text", "text": "".join(self._words)})
        if self._call is not None:
            content.append(self._call)
        return encode(self._message(content, self._stop) | {"usage": self._usage})

    def events(self) -> Iterator[bytes]:
        usage = {"input_tokens": self._input, "output_tokens": 1}
        yield _event("message_start", message=self._message([], None) | {"usage": usage})
        yield _event("ping")
        index = 0
        if self._thought:
            block: dict[str, object] = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": word} for word in self._thought]
            deltas.append({"type": "signature_delta", "signature": _SIGNATURE})
            yield from _block(index, block, deltas)
            index += 1
        words = [{"type": "text_delta", "text": word} for word in self._words]
        yield from _block(index, {"type": "text", "text": ""}, words)
        if self._call is not None:
            text = encode(self._call["input"]).decode()
            halves = [text[: len(text) // 2], text[len(text) // 2 :]]
            pieces = [{"type": "input_json_delta", "partial_json": half} for half in halves]
            yield from _block(index + 1, self._call | {"input": {}}, pieces)
        yield _event(
            "message_delta",
            delta={"stop_reason": self._stop, "stop_sequence": None},
            usage=self._usage,
        )
        yield _event("message_stop")

    def _message(self, content: list[dict[str, object]], stop: str | None) -> dict[str, object]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            "stop_reason": stop,
            "stop_sequence": None,
        }


class TokenCount:
    """How many tokens a prompt has."""

    stream = False
    pace = 0

    def __init__(self, body: bytes, created: int) -> None:
        asked = _request(body)
        self._tokens = sum(count(message.text) for message in asked.messages)

    def whole(self) -> bytes:
        return encode({"input_tokens": self._tokens})

    def events(self) -> Iterator[bytes]:
        yield from ()


def _block(index: int, block: dict[str, object], deltas: list[dict[str, str]]) -> Iterator[bytes]:
    yield _event("content_block_start", index=index, content_block=block)
    for delta in deltas:
        yield _event("content_block_delta", index=index, delta=delta)
    yield _event("content_block_stop", index=index)


def _event(kind: str, **members: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode("ascii"), encode({"type": kind, **members}))
