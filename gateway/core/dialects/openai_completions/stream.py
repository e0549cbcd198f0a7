"""The stream of a legacy completion, by the engine of chat completions."""

from __future__ import annotations

from typing import Final

import msgspec

from ..openai_chat.chunk import Choice, Chunk, Found, Shape
from ..openai_chat.stream import ChatStreamRewriter


class TextChoice(Choice, gc=False):
    delta: Found = msgspec.field(default=msgspec.UNSET, name="text")


class TextChunk(Chunk, gc=False):
    choices: list[TextChoice] | None = None  # type: ignore[assignment]  # each is a Choice


TEXT: Final = Shape(
    msgspec.json.Decoder(TextChunk).decode, "text_completion", "text_completion", message=False
)


class TextStreamRewriter(ChatStreamRewriter):
    """`echoed` is about how many tokens of the text are the prompt's own, repeated."""

    def __init__(
        self,
        model: bytes,
        *,
        keep_usage: bool,
        max_event_bytes: int,
        asked_usage: bool,
        choices: int,
        echoed: int,
    ) -> None:
        super().__init__(
            model,
            keep_usage=keep_usage,
            max_event_bytes=max_event_bytes,
            asked_usage=asked_usage,
            choices=choices,
            shape=TEXT,
        )
        self._echoed = echoed

    @property
    def text_tokens(self) -> int:
        return max(0, super().text_tokens - self._echoed)
