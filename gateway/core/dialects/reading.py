"""Captured requests as conversations: which dialect a request was in, its path tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from .anthropic_messages import conversation as anthropic_messages
from .conversation import Conversation, ConversationTurn
from .openai_chat import conversation as openai_chat
from .openai_responses import conversation as openai_responses


class _Reader(NamedTuple):
    request: Callable[[bytes], Conversation]
    stream: Callable[[Iterable[bytes]], list[ConversationTurn]]
    answer: Callable[[bytes], list[ConversationTurn]]


# By how the path ends.
_READERS = {
    ending: _Reader(dialect.read_request, dialect.read_stream, dialect.read_answer)
    for ending, dialect in (
        ("/chat/completions", openai_chat),
        ("/messages", anthropic_messages),
        ("/responses", openai_responses),
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
