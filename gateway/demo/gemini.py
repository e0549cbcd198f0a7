"""Gemini's API, with thoughts and function calls: the model and the method stand in the path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, TypeVar

import msgspec

from .numbers import vector_of
from .reply import Reply, count, data, encode, id_of, say
from .tools import THOUGHT, arguments_for

_PATH: Final = re.compile(rb"/v1(?:beta)?/models/(.+):(\w+)")
_SIGNATURE: Final = "ZGVtbw=="
_SNAKE: Final = re.compile(r"_([a-z0-9])")
_OPAQUE: Final = frozenset({"parameters", "parametersJsonSchema", "args", "response"})


class _Result(msgspec.Struct):
    name: str = ""


class _Part(msgspec.Struct, rename="camel"):
    text: str = ""
    thought: bool = False
    function_response: _Result | None = None


class _Content(msgspec.Struct):
    parts: list[_Part]
    role: str = "user"

    @property
    def text(self) -> str:
        return " ".join(part.text for part in self.parts if part.text and not part.thought)


class _Function(msgspec.Struct, rename="camel"):
    name: str
    parameters: object = None
    parameters_json_schema: object = None


class _Tools(msgspec.Struct, rename="camel"):
    function_declarations: list[_Function] = []


class _Thinking(msgspec.Struct, rename="camel"):
    include_thoughts: bool = False


class _Config(msgspec.Struct, rename="camel"):
    max_output_tokens: Annotated[int, msgspec.Meta(ge=1)] = 1024
    thinking_config: _Thinking | None = None


class _Request(msgspec.Struct, rename="camel"):
    contents: list[_Content]
    tools: list[_Tools] = []
    generation_config: _Config = msgspec.field(default_factory=_Config)


class _Prompt(msgspec.Struct, rename="camel"):
    contents: list[_Content] = []
    generate_content_request: _Request | None = None


class _Input(msgspec.Struct, rename="camel"):
    content: _Content
    output_dimensionality: Annotated[int, msgspec.Meta(ge=1, le=4096)] | None = None


class _Inputs(msgspec.Struct):
    requests: list[_Input]


_Asked = TypeVar("_Asked")


def _read(body: bytes, kind: type[_Asked]) -> _Asked:
    return msgspec.convert(_in_camel_case(msgspec.json.decode(body)), kind)


def _in_camel_case(found: Any) -> Any:
    """Return what google-genai writes in either spelling in one; schemas keep their names."""
    if isinstance(found, list):
        return [_in_camel_case(each) for each in found]
    if not isinstance(found, dict):
        return found
    named = {_SNAKE.sub(lambda m: m[1].upper(), key): value for key, value in found.items()}
    return {k: v if k in _OPAQUE else _in_camel_case(v) for k, v in named.items()}


class ContentAnswer:
    """Thinks if it is asked to; calls the first function, or answers once that has a result."""

    def __init__(self, body: bytes, model: str, *, stream: bool) -> None:
        asked = _read(body, _Request)
        self.stream = stream
        functions = [each for tool in asked.tools for each in tool.function_declarations]
        last = asked.contents[-1].parts if asked.contents else []
        calls = bool(functions) and all(part.function_response is None for part in last)
        said = [content.text for content in asked.contents if content.role != "model"]
        words = ["I will ", "look."] if calls else say(said[-1] if said else "")
        self._words = words[: asked.generation_config.max_output_tokens]
        self._reason = "STOP" if len(self._words) == len(words) else "MAX_TOKENS"
        thinking = asked.generation_config.thinking_config
        thinks = thinking is not None and thinking.include_thoughts
        self._thought = THOUGHT if thinks else ()
        self._call: dict[str, object] | None = None
        if calls:
            schema = functions[0].parameters_json_schema or functions[0].parameters
            call = {"name": functions[0].name, "args": arguments_for(schema)}
            self._call = {"functionCall": call, "thoughtSignature": _SIGNATURE}
        self._id = id_of(body)
        self._model = model
        self.pace = len(self._thought) + len(self._words)
        self._input = sum(count(content.text) for content in asked.contents)

    def whole(self) -> bytes:
        parts: list[dict[str, object]] = []
        if self._thought:
            parts.append({"text": "".join(self._thought), "thought": True})
        parts.append({"text": "".join(self._words)})
        if self._call is not None:
            parts.append(self._call)
        return encode(self._answer(parts, self._reason))

    def events(self) -> Iterator[bytes]:
        for word in self._thought:
            yield data(self._answer([{"text": word, "thought": True}], None))
        for word in self._words:
            yield data(self._answer([{"text": word}], None))
        if self._call is not None:
            yield data(self._answer([self._call], None))
        yield data(self._answer([{"text": ""}], self._reason))

    def _answer(self, parts: list[dict[str, object]], reason: str | None) -> dict[str, object]:
        candidate: dict[str, object] = {"content": {"parts": parts, "role": "model"}, "index": 0}
        counts = {"promptTokenCount": self._input}
        if reason is not None:
            candidate["finishReason"] = reason
            counts["candidatesTokenCount"] = len(self._words)
            if self._thought:
                counts["thoughtsTokenCount"] = len(self._thought)
        counts["totalTokenCount"] = sum(counts.values())
        return {
            "candidates": [candidate],
            "usageMetadata": counts,
            "modelVersion": self._model,
            "responseId": self._id,
        }


class _Counted:
    """An answer of numbers."""

    stream = False
    pace = 0

    def __init__(self, found: dict[str, object]) -> None:
        self._found = found

    def whole(self) -> bytes:
        return encode(self._found)

    def events(self) -> Iterator[bytes]:
        yield from ()


def _count(body: bytes) -> _Counted:
    asked = _read(body, _Prompt)
    inner = asked.generate_content_request
    contents = asked.contents if inner is None else inner.contents
    return _Counted({"totalTokens": sum(count(content.text) for content in contents)})


def _embed(body: bytes) -> _Counted:
    return _Counted({"embedding": _embedding(_read(body, _Input))})


def _embed_all(body: bytes) -> _Counted:
    return _Counted({"embeddings": [_embedding(each) for each in _read(body, _Inputs).requests]})


def _embedding(asked: _Input) -> dict[str, object]:
    return {"values": vector_of(asked.content.text, asked.output_dimensionality)}


_NUMBERS: Final[dict[bytes, Callable[[bytes], Reply]]] = {
    b"countTokens": _count,
    b"embedContent": _embed,
    b"batchEmbedContents": _embed_all,
}


def answers_at(path: bytes) -> Callable[[bytes, int], Reply] | None:
    """Return what answers a request to a path: its body, and the time in Unix seconds."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    model, method = match[1].decode("latin-1"), match[2]
    if method in (b"generateContent", b"streamGenerateContent"):
        stream = method == b"streamGenerateContent"
        return lambda body, created: ContentAnswer(body, model, stream=stream)
    numbers = _NUMBERS.get(method)
    return None if numbers is None else lambda body, created: numbers(body)
