"""Chat completions and the legacy ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec

from .reply import DONE, count, data, encode, id_of, say

_Limit = Annotated[int, msgspec.Meta(ge=1)]


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[dict[str, object]] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return " ".join(str(part["text"]) for part in self.content if "text" in part)
        return self.content or ""


class _Question(msgspec.Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: _Limit | None = None
    max_completion_tokens: _Limit | None = None


class _Prompt(msgspec.Struct):
    model: str
    prompt: str | list[str] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: _Limit | None = None


_question: Final = msgspec.json.Decoder(_Question).decode
_prompt: Final = msgspec.json.Decoder(_Prompt).decode
# As OpenAI's.
_DEFAULT_LIMIT: Final = 16


class _Answer:
    """What both have in common: words up to a limit, and their usage."""

    def __init__(
        self,
        asked: _Question | _Prompt,
        words: list[str],
        prompt: int,
        limit: float,
        common: dict[str, object],
    ) -> None:
        self.stream = bool(asked.stream)
        self.tokens = words if len(words) <= limit else words[: int(limit)]
        self.pace = len(self.tokens)
        self.finish_reason = "stop" if len(words) <= limit else "length"
        self.usage = {
            "prompt_tokens": prompt,
            "completion_tokens": len(self.tokens),
            "total_tokens": prompt + len(self.tokens),
        }
        self._tells = bool(asked.stream_options and asked.stream_options.include_usage)
        self._common = common

    def _chunk(self, choice: dict[str, object]) -> bytes:
        usage = {"usage": None} if self._tells else {}
        return data(self._common | {"choices": [{"index": 0, "logprobs": None} | choice]} | usage)

    def _end(self) -> Iterator[bytes]:
        if self._tells:
            yield data(self._common | {"choices": [], "usage": self.usage})
        yield DONE


class ChatAnswer(_Answer):
    def __init__(self, body: bytes, created: int) -> None:
        asked = _question(body)
        said = [message.text for message in asked.messages if message.role == "user"]
        super().__init__(
            asked,
            say(said[-1] if said else ""),
            sum(count(message.text) for message in asked.messages),
            asked.max_completion_tokens or asked.max_tokens or math.inf,
            {
                "id": f"chatcmpl-{id_of(body)}",
                "created": created,
                "model": asked.model,
                "object": "chat.completion.chunk",
            },
        )

    def whole(self) -> bytes:
        message = {"role": "assistant", "content": "".join(self.tokens), "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        common = self._common | {"object": "chat.completion"}
        return encode(common | {"choices": [choice | {"logprobs": None}], "usage": self.usage})

    def events(self) -> Iterator[bytes]:
        yield self._event({"role": "assistant", "content": ""}, None)
        for token in self.tokens:
            yield self._event({"content": token}, None)
        yield self._event({}, self.finish_reason)
        yield from self._end()

    def _event(self, delta: dict[str, str], finish_reason: str | None) -> bytes:
        return self._chunk({"delta": delta, "finish_reason": finish_reason})


class TextAnswer(_Answer):
    def __init__(self, body: bytes, created: int) -> None:
        asked = _prompt(body)
        prompt = asked.prompt or ""
        text = prompt if isinstance(prompt, str) else prompt[0]
        super().__init__(
            asked,
            say(text),
            count(text),
            asked.max_tokens or _DEFAULT_LIMIT,
            {
                "id": f"cmpl-{id_of(body)}",
                "created": created,
                "model": asked.model,
                "object": "text_completion",
            },
        )

    def whole(self) -> bytes:
        choice = {"index": 0, "text": "".join(self.tokens), "finish_reason": self.finish_reason}
        return encode(
            self._common | {"choices": [choice | {"logprobs": None}], "usage": self.usage}
        )

    def events(self) -> Iterator[bytes]:
        for number, token in enumerate(self.tokens, 1):
            last = number == len(self.tokens)
            yield self._chunk(
                {"text": token, "finish_reason": self.finish_reason if last else None}
            )
        yield from self._end()
