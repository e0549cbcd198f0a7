"""The dialects of what is passed on unread: the callers', for the gateway's own errors alone."""

from __future__ import annotations

from functools import cache

from ..anthropic_messages.dialect import AnthropicMessages
from ..base import Dialect, DialectRequest
from ..openai_chat.dialect import OpenAIDialect


class PassedUnread(OpenAIDialect):
    """Errors are OpenAI's, which most clients read."""

    def __init__(self, operation: str, path: str) -> None:
        self.name = f"openai_{operation}"
        self.operation = operation
        self.path = path

    def read_request(self, body: bytes) -> DialectRequest:
        raise TypeError("what is passed on is not read")


class MessagesPassedUnread(AnthropicMessages):
    """Errors are as Anthropic's SDKs read them."""

    def __init__(self, operation: str, path: str) -> None:
        self.name = f"anthropic_{operation}"
        self.operation = operation
        self.path = path

    def read_request(self, body: bytes) -> DialectRequest:
        raise TypeError("what is passed on is not read")


@cache
def passed(operation: str, path: str, *, messages: bool) -> Dialect:
    """Return the dialect of an operation; `messages` says that the caller is Anthropic's client.

    There are a dozen operations, so that all are remembered.
    """
    return (MessagesPassedUnread if messages else PassedUnread)(operation, path)
