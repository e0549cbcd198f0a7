"""A prompt as a tokenizer counts it: its texts, and what stands around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from .estimate import TOKENS_PER_FILE

# Each message is between marks that are tokens, and the answer's begins the same way
# (cookbook.openai.com, "How to count tokens with tiktoken": 3 and one for the role; 3 at the end).
TOKENS_PER_TURN: Final = 4
TOKENS_BEFORE_ANSWER: Final = 3


class Encoding(msgspec.Struct, frozen=True):
    """How the tokens of a model are counted: `name` is the tokenizer's.

    `more` is by how much its count is raised, in hundredths, where it is not the model's own.
    """

    name: str
    more: int = 0


class PromptText(msgspec.Struct, frozen=True):
    """`files` are images, documents and sound, whose tokens are guessed."""

    texts: list[str]
    turns: int
    files: int = 0

    def tokens(self, counted: int, encoding: Encoding) -> int:
        """Return the tokens of the whole prompt, of whose texts so many were `counted`."""
        known = counted + self.turns * TOKENS_PER_TURN + TOKENS_BEFORE_ANSWER
        # Rounded up.
        raised = known + -(-known * encoding.more // 100)
        return raised + self.files * TOKENS_PER_FILE


class TokenCounter(Protocol):
    """Counts tokens with a tokenizer of this machine's."""

    async def count(self, encoding: str, texts: Sequence[str]) -> int | None:
        """Return how many tokens `texts` have; None if they cannot be counted here and now."""
        ...
