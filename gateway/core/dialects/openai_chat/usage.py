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
               (LiteLLM), `cache_creation_input_tokens` (Anthropic, DashScope)
    cost       `cost` in USD (OpenRouter, and as an object Perplexity), `estimated_cost`
               (DeepInfra), `cost_in_usd_ticks` (xAI: 10^10 ticks are a dollar,
               docs.x.ai/developers/cost-tracking)
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from ...records.usage import Usage

_DECODER: Final = msgspec.json.Decoder()
_PLACE_DECODER: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

_Names = tuple[str, ...]

_PROMPT: Final = ("prompt_tokens", "input_tokens")
_COMPLETION: Final = ("completion_tokens", "output_tokens")
_INPUT_DETAILS: Final = ("prompt_tokens_details", "input_tokens_details", "prompt_token_details")
_OUTPUT_DETAILS: Final = (
    *("completion_tokens_details", "output_tokens_details", "completion_token_details"),
)
_CACHED: Final = (
    *("cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens"),
    *("cache_read_tokens", "cache_read_input_tokens"),
)
_WRITTEN: Final = (
    *("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens"),
    "cache_write_input_tokens",
)
_REASONING: Final = ("reasoning_tokens", "thinking_tokens")
_AUDIO: Final = "audio_tokens"
_IMAGE: Final = "image_tokens"
_DOLLARS: Final = ("cost", "total_cost", "estimated_cost")
_TICKS: Final = "cost_in_usd_ticks"
_TICKS_PER_NANO: Final = 10
_NANO_PER_USD: Final = 1_000_000_000
# More than any answer costs; an exponent of a million digits would take all memory.
_MOST_USD: Final = 10**6

_KNOWN: Final = frozenset(
    (
        *_PROMPT,
        *_COMPLETION,
        "total_tokens",
        *_INPUT_DETAILS,
        *_OUTPUT_DETAILS,
        *_CACHED,
        *_WRITTEN,
        *_REASONING,
        *_DOLLARS,
        _TICKS,
    )
)


class UsageReports:
    """The reports of one answer, put together to one usage."""

    __slots__ = ("_found", "_read")

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}
        # What was made of them since the last one came.
        self._read: Usage | None = None

    def __repr__(self) -> str:
        return f"<UsageReports {self._found}>"

    def add(self, raw: bytes | memoryview | msgspec.Raw) -> None:
        """Take note of one `usage` object; of anything else, nothing.

        Lenient on purpose: compatible servers send null, floats and missing details, and a count
        that cannot be read must not cost the caller an answer.
        """
        try:
            self.add_found(_DECODER.decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return

    def add_nested(self, raw: bytes | memoryview | msgspec.Raw) -> None:
        """Take note of the `usage` in an object, as Groq has one in `x_groq`."""
        try:
            inner = _PLACE_DECODER.decode(raw).get("usage")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if inner is not None:
            self.add(inner)

    def add_found(self, found: object) -> None:
        """Take note of a report that has been decoded."""
        if not isinstance(found, dict):
            return
        known = self._found
        self._read = None
        if known and _most(found, _PROMPT) and _most(found, _COMPLETION):
            # This one is complete by itself: an older total would contradict it.
            known.pop("total_tokens", None)
        for name in found.keys() & _KNOWN:
            value = found[name]
            # Running totals grow, and a zero in a later report says nothing about the others.
            if not value:
                continue
            before = known.get(name)
            if isinstance(value, dict) and isinstance(before, dict):
                value = {**before, **{key: each for key, each in value.items() if each}}
            known[name] = value

    @property
    def usage(self) -> Usage | None:
        """Return what the reports say together; None if they count nothing and say no cost."""
        if self._read is None and self._found:
            self._read = _usage(self._found)
        return self._read


def read_usage(raw: bytes | memoryview | msgspec.Raw) -> Usage | None:
    """Read one `usage` object; None if it is no object or says nothing."""
    reports = UsageReports()
    reports.add(raw)
    return reports.usage


def _usage(found: Mapping[str, Any]) -> Usage | None:
    taken, given = _details(found, _INPUT_DETAILS), _details(found, _OUTPUT_DETAILS)
    cached = _most_of(found, taken, _CACHED)
    written = _most_of(found, taken, _WRITTEN)
    reasoning = _most_of(found, given, _REASONING)
    completion, total = _most(found, _COMPLETION), _most(found, ("total_tokens",))
    prompt = _prompt(found, completion, total)
    output = max(completion, total - prompt)
    if reasoning > output:
        # More than there is: it is counted beside the rest, and in no total.
        output = completion + reasoning
    cost = _cost(found)
    if not (prompt or output or cost is not None):
        return None
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cached_tokens=cached,
        reasoning_tokens=reasoning,
        cache_write_tokens=written,
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
    beside = _count(found.get("cache_read_input_tokens")) + _count(
        found.get("cache_creation_input_tokens")
    )
    if beside and (
        beside > prompt
        or total - prompt - completion == beside
        or not _count(found.get("prompt_tokens"))
    ):
        return prompt + beside
    # A report without a prompt: the rest of the total is the best guess.
    return prompt or max(0, total - completion)


def _details(found: Mapping[str, Any], names: _Names) -> Mapping[str, Any]:
    for name in names:
        details = found.get(name)
        if isinstance(details, dict):
            return details
    return {}


def _cost(found: Mapping[str, Any]) -> int | None:
    ticks = _count(found.get(_TICKS))
    if ticks:
        return round(Decimal(ticks) / _TICKS_PER_NANO)
    for name in _DOLLARS:
        value = found.get(name)
        if value is None:
            continue
        if isinstance(value, dict):
            value = value.get("total_cost")
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        try:
            # The text of a float is the number as it was written.
            dollars = Decimal(str(value))
        except InvalidOperation:
            continue
        if dollars.is_finite() and 0 < dollars < _MOST_USD:
            return round(dollars * _NANO_PER_USD)
    return None


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


def _count(value: Any) -> int:
    if type(value) is not int and (isinstance(value, bool) or not isinstance(value, int | float)):
        return 0
    # Beyond 2^53 a float is no count, and NaN or infinity cannot come out of JSON.
    return int(value) if 0 <= value < 2**53 else 0
