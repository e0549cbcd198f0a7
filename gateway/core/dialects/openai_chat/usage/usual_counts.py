"""Reports of usage as most are, read for a third of the price.

They say the same here and in `counts.py`, which reads all others too; a test holds both together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ....records.usage import Usage

# More than any answer has: a count beyond it is a fault, and would use up every budget.
MOST: Final = 2**31
# A prompt, an answer and their sum, and nothing else that is known.
_PLAIN: Final = 3
_AUDIO: Final = "audio_tokens"
# As OpenAI reports (openai-python, `CompletionUsage`), and nothing else.
_DETAILED: Final = frozenset(
    {
        *("prompt_tokens", "completion_tokens", "total_tokens"),
        *("prompt_tokens_details", "completion_tokens_details"),
    }
)
_TAKEN: Final = frozenset({"cached_tokens", _AUDIO})
_GIVEN: Final = frozenset(
    {"reasoning_tokens", _AUDIO, "accepted_prediction_tokens", "rejected_prediction_tokens"}
)
_EMPTY: Final[dict[str, int]] = {}


def usual(found: Mapping[str, Any]) -> Usage | None:
    """Read a report of tokens without details, or as OpenAI's own are; None for all others."""
    return _plain(found) or _detailed(found)


def _plain(found: Mapping[str, Any]) -> Usage | None:
    if len(found) != _PLAIN:
        return None
    prompt, completion = found.get("prompt_tokens"), found.get("completion_tokens")
    if (
        type(prompt) is int
        and type(completion) is int
        and 0 < prompt < MOST
        and 0 < completion < MOST
        and found.get("total_tokens") == prompt + completion
    ):
        return Usage(prompt, completion)
    return None


def _detailed(found: Mapping[str, Any]) -> Usage | None:
    taken = found.get("prompt_tokens_details", _EMPTY)
    given = found.get("completion_tokens_details", _EMPTY)
    if not found.keys() <= _DETAILED or type(taken) is not dict or type(given) is not dict:
        return None
    if not taken.keys() <= _TAKEN or not given.keys() <= _GIVEN:
        return None
    prompt, completion = found.get("prompt_tokens"), found.get("completion_tokens")
    for count in (prompt, completion, *taken.values(), *given.values()):
        if type(count) is not int or not 0 <= count < MOST:
            return None
    cached, reasoning = taken.get("cached_tokens", 0), given.get("reasoning_tokens", 0)
    if (
        prompt
        and completion
        and cached <= prompt
        and reasoning <= completion
        and found.get("total_tokens") == prompt + completion
    ):
        return Usage(
            input_tokens=prompt,
            output_tokens=completion,
            cached_tokens=cached,
            reasoning_tokens=reasoning,
            input_audio_tokens=taken.get(_AUDIO, 0),
            output_audio_tokens=given.get(_AUDIO, 0),
        )
    return None
