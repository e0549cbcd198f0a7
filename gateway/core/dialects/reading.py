"""Captured requests as conversations: which dialect a request was in, its path tells."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .conversation import Conversation
from .openai_chat import conversation as openai_chat

_OPENAI_CHAT = "/chat/completions"


def read_conversation(
    target: str, request: bytes, events: Sequence[bytes] = (), body: bytes | None = None
) -> Conversation | None:
    """Return what was said; None if the request's dialect cannot be shown as a conversation.

    `events` are the data of a stream's events, `body` is a whole answer.
    """
    if not target.partition("?")[0].rstrip("/").endswith(_OPENAI_CHAT):
        return None
    found = openai_chat.read_request(request)
    answers = openai_chat.read_stream(events) if events else []
    if body is not None and not answers:
        answers = openai_chat.read_answer(body)
    return msgspec.structs.replace(found, answers=answers)
