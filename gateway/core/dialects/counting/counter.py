"""How a provider counts the tokens of a prompt: what is sent to it, and what it answers."""

from __future__ import annotations

from typing import Protocol

import msgspec

from ..base import Dialect


class PromptCounter(Protocol):
    """Counts what a chat of `dialect` has."""

    @property
    def dialect(self) -> Dialect: ...

    def body(self, chat: bytes, model_json: bytes) -> bytes:
        """Return what is sent for a body of the dialect, under the provider's name of the model."""
        ...

    def tokens(self, answer: bytes) -> int:
        """Return what an answer says. Raises ValueError."""
        ...


class CountedAt(msgspec.Struct, frozen=True):
    """A counter, and the target at which it is asked."""

    target: bytes
    api: PromptCounter
