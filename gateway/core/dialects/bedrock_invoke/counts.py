"""Tokens as Amazon counts them: in headers of an answer, whatever its body says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

# Those of InvokeModel's answers. They stand in no documentation; Amazon's SDKs show them among the
# headers of each answer, and they are how users of it have always counted.
INPUT_TOKENS: Final = b"x-amzn-bedrock-input-token-count"
OUTPUT_TOKENS: Final = b"x-amzn-bedrock-output-token-count"
_MOST: Final = 2**31


def input_tokens(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Return how many tokens an answer's prompt had; None if its headers do not say it."""
    for name, value in headers:
        if name == INPUT_TOKENS and value.isdigit() and len(value) < 10:
            found = int(value)
            return found if 0 < found < _MOST else None
    return None
