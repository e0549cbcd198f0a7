"""How long a request lets its answer become, read as its provider will read it.

Servers differ in which names they obey and how strict they are with numbers: pydantic, which most
of the Python ones use, takes `4000.0` and "4000" for an integer (docs.pydantic.dev, "Conversion
table"), and Go's encoding/json matches names without regard to case. What the limits reserve is
therefore the most that any reading allows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Final

import msgspec

from ...limits.estimate import ANSWER_TOKENS, MOST_TOKENS

# The last three are Hugging Face's, those of OpenAI's Responses, and llama.cpp's.
_MAX_TOKENS: Final = (
    *("max_completion_tokens", "max_tokens"),
    *("max_new_tokens", "max_output_tokens", "n_predict"),
)
_ANSWERS: Final = ("n", "best_of")
LIMIT_NAMES: Final = (*_MAX_TOKENS, *_ANSWERS, "min_tokens")
_LIMITS: Final = frozenset(LIMIT_NAMES)
# OpenAI takes 128 at most; a server of one's own may take more.
_MOST_ANSWERS: Final = 2**20
# llama.cpp's goes before its `max_tokens`.
_LIFTS: Final = "n_predict"
# vLLM's: an answer that may not end before.
_LEAST: Final = "min_tokens"
# What is longer is not read: it may be any number.
_LONGEST: Final = 4096


class TokenLimits(msgspec.Struct, frozen=True, gc=False):
    """`max_tokens` are those of each of the `n` answers; None: the request does not say."""

    max_tokens: int | None = None
    n: int = 1


_NO_LIMITS: Final = TokenLimits()


def read_token_limits(values: Mapping[str, bytes]) -> TokenLimits:
    """Read the limits among the top-level members of a request, whose values are JSON."""
    found = {folded: raw for key, raw in values.items() if (folded := key.casefold()) in _LIMITS}
    if not found:
        return _NO_LIMITS
    given = [_count(found[name]) for name in _MAX_TOKENS if found.get(name, b"null") != b"null"]
    least = _count(found[_LEAST]) if _LEAST in found else 0
    most = max((*given, least if given or least > ANSWER_TOKENS else 0), default=0)
    if _LIFTS in found and not _count(found[_LIFTS]) and most <= ANSWER_TOKENS:
        # `n_predict: -1` lifts the limit that another name sets.
        most = 0
    answers = max((_count(found[name]) for name in _ANSWERS if name in found), default=1)
    return TokenLimits(min(most, MOST_TOKENS) or None, min(max(1, answers), _MOST_ANSWERS))


def _count(raw: bytes) -> int:
    """Return the number that `raw` says, rounded up; 0 for what is none that limits anything."""
    if raw.isdigit() and len(raw) < 16:
        return int(raw)
    if len(raw) > _LONGEST:
        return MOST_TOKENS
    try:
        # A string may have its digits escaped, `"\u0034000"`.
        number = float(json.loads(raw) if raw.startswith(b'"') else raw)
    except ValueError:
        return 0
    # Zero and negative ones mean no limit where they are not refused (llama.cpp, vLLM).
    if not number > 0:
        return 0
    return MOST_TOKENS if number > MOST_TOKENS else math.ceil(number)
