"""Token counts as OpenAI's API has them, and servers that are compatible with it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...records.usage import Usage

_DECODER: Final = msgspec.json.Decoder()


def read_usage(raw: bytes | memoryview | msgspec.Raw) -> Usage | None:
    """Read an OpenAI `usage` object; None if it is no object or counts nothing.

    Lenient on purpose: compatible servers send null, floats and missing details, and a count
    that cannot be read must not cost the caller an answer.
    """
    try:
        found = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    usage = Usage(
        input_tokens=_count(found.get("prompt_tokens")),
        output_tokens=_count(found.get("completion_tokens")),
        cached_tokens=_detail(found.get("prompt_tokens_details"), "cached_tokens"),
        reasoning_tokens=_detail(found.get("completion_tokens_details"), "reasoning_tokens"),
    )
    return usage if usage.input_tokens or usage.output_tokens else None


def _detail(details: Any, name: str) -> int:
    return _count(details.get(name)) if isinstance(details, dict) else 0


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    # Beyond 2^53 a float is no count, and NaN or infinity cannot come out of JSON.
    return int(value) if 0 <= value < 2**53 else 0
