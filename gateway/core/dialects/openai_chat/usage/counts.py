"""Token counts as OpenAI's API has them, and servers that are compatible with it.

Compatible servers spell the same count differently, leave counts out, and spread them over
several reports of one stream: the prompt in its first chunk, the answer in its last. The reports
are merged as they are spelled, and what they mean is read from all of them together.

    output     xAI and Gemini's compatible endpoint count reasoning beside `completion_tokens`,
               and only `total_tokens` includes it (docs.x.ai, "Reasoning"); others count it
               inside. `max(completion, total - prompt)` is right for both.
    cached     `prompt_tokens_details.cached_tokens` (OpenAI), `cached_tokens` (Moonshot),
               `prompt_cache_hit_tokens` (DeepSeek), `num_cached_tokens` (Mistral),
               `cache_read_input_tokens` (Anthropic, and gateways in front of it)
    written    `cache_write_tokens` in the details (OpenAI, OpenRouter), `cache_creation_tokens`
               (LiteLLM), `cache_creation_input_tokens` (Anthropic, DashScope); by lifetime in
               `cache_creation` (both) or `cache_creation_token_details` (LiteLLM)
    cost       see `costs`; 0 is a cost, too
    place      `usage`, in `x_groq` (Groq), in each choice of its own (Moonshot), and where there
               is none of these `timings` (llama.cpp, tools/server/README.md)

A count is a number or the digits of one, as some encoders of protobuf write 64-bit integers.
One of the prompt or of the answer that is none (negative, 2^31 or more, a fraction of one) is a
fault of its provider: if the total does not make up for it, no token of the report is believed.
A total alone is no usage: it does not tell what is charged at which price.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from ....records.counting import UsageRule
from ....records.usage import Usage
from .costs import COSTS, cost_of
from .usual_counts import MOST, usual

_DECODER: Final = msgspec.json.Decoder()

_Names = tuple[str, ...]

_PROMPT: Final = ("prompt_tokens", "input_tokens")
_COMPLETION: Final = ("completion_tokens", "output_tokens")
_INPUT_DETAILS: Final = (
    *("prompt_tokens_details", "input_tokens_details", "prompt_token_details"),
    # Realtime and transcriptions (platform.openai.com/docs/api-reference).
    "input_token_details",
)
_OUTPUT_DETAILS: Final = (
    *("completion_tokens_details", "output_tokens_details", "completion_token_details"),
    "output_token_details",
)
_CACHED: Final = (
    *("cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens"),
    *("cache_read_tokens", "cache_read_input_tokens"),
)
_WRITTEN: Final = (
    *("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens"),
    "cache_write_input_tokens",
)
# Anthropic's "Prompt caching": those of an hour cost more than those of five minutes.
_WRITTEN_BY_LIFETIME: Final = ("cache_creation", "cache_creation_token_details")
_FIVE_MINUTES: Final = ("ephemeral_5m_input_tokens",)
_ONE_HOUR: Final = ("ephemeral_1h_input_tokens",)
_REASONING: Final = ("reasoning_tokens", "thinking_tokens")
_AUDIO: Final = "audio_tokens"
_IMAGE: Final = "image_tokens"
_DIGITS: Final = 16
KNOWN: Final = frozenset(
    (
        *_PROMPT,
        *_COMPLETION,
        "total_tokens",
        *_INPUT_DETAILS,
        *_OUTPUT_DETAILS,
        *_CACHED,
        *_WRITTEN,
        *_WRITTEN_BY_LIFETIME,
        *_REASONING,
        *COSTS,
    )
)
# What of `Usage` is no count of one answer.
_NO_COUNTS: Final = frozenset({"reported_cost", "parts", "partial", "units"})
# What each of several choices has of its own, by the names of `Usage`.
_OF_OUTPUT: Final = frozenset(
    {"output_tokens", "reasoning_tokens", "output_audio_tokens", "output_image_tokens"}
)


def is_complete(found: Mapping[str, Any]) -> bool:
    """Say whether a report counts both the prompt and the answer."""
    return bool(_most(found, _PROMPT) and _most(found, _COMPLETION))


def usage_of(found: Mapping[str, Any], rule: UsageRule = "usual") -> Usage | None:
    return usual(found) or _of_any(found, rule)


def _of_any(found: Mapping[str, Any], rule: UsageRule) -> Usage | None:
    taken, given = _details(found, _INPUT_DETAILS), _details(found, _OUTPUT_DETAILS)
    cached = _most_of(found, taken, _CACHED)
    five_minutes, hour = _written_by_lifetime(found, taken)
    written = max(_most_of(found, taken, _WRITTEN), five_minutes + hour)
    reasoning = _most_of(found, given, _REASONING)
    completion, total = _most(found, _COMPLETION), _most(found, ("total_tokens",))
    prompt = _prompt(found, completion, total)
    if rule == "cache_beside" and (not total or total - prompt - completion == cached + written):
        prompt += cached + written
    output = max(completion, total - prompt) if prompt else completion
    if rule == "reasoning_beside" and not total:
        output = completion + reasoning
    if reasoning > output:
        # More than there is: it is counted beside the rest, and in no total.
        output = completion + reasoning
    cost = cost_of(found)
    if not (prompt and output) and (
        (not prompt and _is_faulty(found, _PROMPT))
        or (not output and _is_faulty(found, _COMPLETION))
    ):
        return None if cost is None else Usage(reported_cost=cost)
    if not (prompt or output or cost):
        return None
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cached_tokens=cached,
        reasoning_tokens=reasoning,
        cache_write_tokens=written,
        cache_write_1h_tokens=hour,
        input_audio_tokens=_count(taken.get(_AUDIO)),
        input_image_tokens=_count(taken.get(_IMAGE)),
        output_audio_tokens=_count(given.get(_AUDIO)),
        output_image_tokens=_count(given.get(_IMAGE)),
        reported_cost=cost,
    )


def _prompt(found: Mapping[str, Any], completion: int, total: int) -> int:
    """Return the tokens of the prompt, what the cache gave and took included.

    Anthropic counts those two beside its `input_tokens` ("Prompt caching", tracking cache
    performance), and some gateways pass its counts on as they are.
    """
    prompt = _most(found, _PROMPT)
    written = max(_count(found.get("cache_creation_input_tokens")), _by_lifetime(found))
    beside = _count(found.get("cache_read_input_tokens")) + written
    if beside and (
        beside > prompt
        or total - prompt - completion == beside
        or not _count(found.get("prompt_tokens"))
    ):
        return prompt + beside
    # A report without a prompt has it in its total. One without an answer, too, tells nothing.
    return prompt or (max(0, total - completion) if completion else 0)


def _by_lifetime(found: Mapping[str, Any]) -> int:
    return sum(_written_by_lifetime(found, {}))


def _written_by_lifetime(*places: Mapping[str, Any]) -> tuple[int, int]:
    """Return the tokens written into a cache of five minutes, and into one of an hour."""
    for place in places:
        for name in _WRITTEN_BY_LIFETIME:
            kinds = place.get(name)
            if isinstance(kinds, dict):
                return _most(kinds, _FIVE_MINUTES), _most(kinds, _ONE_HOUR)
    return 0, 0


def together(whole: Usage | None, choices: list[Usage | None]) -> Usage | None:
    """Return the usage of an answer whose choices have reports of their own.

    Each has the same prompt, which is charged once, and its own output.
    """
    parts = [each for each in choices if each is not None]
    if not parts or (whole is not None and whole.input_tokens and whole.output_tokens):
        return whole
    total = parts[0]
    for part in parts[1:]:
        total = _merged(total, part, own=int.__add__)
    return total if whole is None else _merged(whole, total, own=max)


def _merged(one: Usage, other: Usage, own: Callable[[int, int], int]) -> Usage:
    """Return two reports as one; of what is said of the output, `own` makes one number."""
    costs = [each for each in (one.reported_cost, other.reported_cost) if each is not None]
    counts: dict[str, Any] = {
        name: (own if name in _OF_OUTPUT else max)(getattr(one, name), getattr(other, name))
        for name in Usage.__struct_fields__
        if name not in _NO_COUNTS
    }
    return Usage(reported_cost=max(costs, default=None), **counts)


def of_timings(raw: bytes | msgspec.Raw) -> Usage | None:
    """Return the usage that llama.cpp's `timings` tell; what its cache had is not in `prompt_n`."""
    try:
        found = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    cached = _count(found.get("cache_n"))
    prompt, output = _count(found.get("prompt_n")) + cached, _count(found.get("predicted_n"))
    return Usage(prompt, output, cached) if prompt and output else None


def _details(found: Mapping[str, Any], names: _Names) -> Mapping[str, Any]:
    for name in names:
        details = found.get(name)
        if isinstance(details, dict):
            return details
    return {}


def _most_of(found: Mapping[str, Any], details: Mapping[str, Any], names: _Names) -> int:
    most = _most(found, names)
    return max(most, _most(details, names)) if details else most


def _most(found: Mapping[str, Any], names: _Names) -> int:
    # Most names are in no report: a loop that passes over them costs a third of a `max()` of all.
    most = 0
    for name in names:
        value = found.get(name)
        if value:
            most = max(most, _count(value))
    return most


def _is_faulty(found: Mapping[str, Any], names: _Names) -> bool:
    """Say whether a count is given under one of `names` and cannot be one."""
    values = [found.get(name) for name in names]
    return any(value and value != "0" and not _count(value) for value in values)


def _count(value: Any) -> int:
    if type(value) is int:
        return value if 0 <= value < MOST else 0
    if isinstance(value, str) and len(value) < _DIGITS and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value < MOST else 0
