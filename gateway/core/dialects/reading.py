"""Captured requests as conversations: which dialect a request was in, its path tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from .anthropic_messages import conversation as anthropic_messages
from .bedrock_converse import conversation as bedrock_converse
from .cohere import conversation as cohere
from .conversation import Conversation, ConversationTurn
from .gemini import conversation as gemini
from .ollama import conversation as ollama
from .openai_chat import conversation as openai_chat
from .openai_completions import conversation as openai_completions
from .openai_media import conversation as openai_media
from .openai_numbers import conversation as openai_numbers
from .openai_responses import conversation as openai_responses
from .rerank import conversation as rerank


class _Reader(NamedTuple):
    request: Callable[[bytes], Conversation]
    stream: Callable[[Iterable[bytes]], list[ConversationTurn]]
    answer: Callable[[bytes], list[ConversationTurn]]


# By how the path ends, the longer ones first. What only counts tokens says what it counts.
_READERS = {
    ending: _Reader(dialect.read_request, dialect.read_stream, dialect.read_answer)
    for ending, dialect in (
        ("/chat/completions", openai_chat),
        ("/completions", openai_completions),
        ("/messages", anthropic_messages),
        ("/messages/count_tokens", anthropic_messages),
        ("/responses", openai_responses),
        ("/responses/input_tokens", openai_responses),
        (":generateContent", gemini),
        (":streamGenerateContent", gemini),
        (":countTokens", gemini),
        ("/converse", bedrock_converse),
        ("/converse-stream", bedrock_converse),
        ("/v2/chat", cohere),
        *((f"/api/{each}", ollama) for each in ("chat", "generate")),
        *((f"/{each}", openai_numbers) for each in ("embeddings", "moderations", "embed")),
        ("/rerank", rerank),
        *((f"/images/{each}", openai_media) for each in ("generations", "edits", "variations")),
        *(
            (f"/audio/{each}", openai_media)
            for each in ("speech", "transcriptions", "translations")
        ),
    )
}


def read_conversation(
    target: str, request: bytes, events: Sequence[bytes] = (), body: bytes | None = None
) -> Conversation | None:
    """Return what was said; None if the request's dialect cannot be shown as a conversation.

    `events` are the data of a stream's events, `body` is a whole answer.
    """
    path = target.partition("?")[0].rstrip("/")
    reader = next((each for ending, each in _READERS.items() if path.endswith(ending)), None)
    if reader is None:
        return None
    found = reader.request(request)
    answers = reader.stream(events) if events else []
    if body is not None and not answers:
        answers = reader.answer(body)
    return msgspec.structs.replace(found, answers=answers)
