"""Token counts as Bedrock has them.

The input is without what the cache gave and took: the three are added (docs.aws.amazon.com/bedrock,
"Prompt caching": total input tokens). `cacheDetails` has what was written by its lifetime.
Reasoning is a part of the output and is not counted apart.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...records.usage import Usage

_DECODER: Final = msgspec.json.Decoder()
# More than any answer has: a count beyond it is a fault, and would use up every budget.
_MOST: Final = 2**31
_HOUR: Final = "1h"


def read_usage(raw: bytes | msgspec.Raw) -> Usage | None:
    """Read one `usage` object; None if it is no object or counts nothing."""
    try:
        found = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    cached = _count(found.get("cacheReadInputTokens"))
    by_lifetime = _written(found.get("cacheDetails"))
    written = max(_count(found.get("cacheWriteInputTokens")), sum(by_lifetime.values()))
    prompt = _count(found.get("inputTokens")) + cached + written
    output = _count(found.get("outputTokens"))
    if not (prompt or output):
        return None
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cached_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=by_lifetime.get(_HOUR, 0),
    )


def written_usage(usage: Usage) -> dict[str, Any]:
    """Return the counts in Bedrock's arithmetic: the input without what the cache had."""
    written = usage.cache_write_tokens
    hour = min(usage.cache_write_1h_tokens, written)
    found: dict[str, Any] = {
        "inputTokens": max(0, usage.input_tokens - usage.cached_tokens - written),
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.total,
    }
    if usage.cached_tokens or written:
        found["cacheReadInputTokens"] = usage.cached_tokens
        found["cacheWriteInputTokens"] = written
    if written:
        lifetimes = (("5m", written - hour), (_HOUR, hour))
        found["cacheDetails"] = [
            {"ttl": lifetime, "inputTokens": count} for lifetime, count in lifetimes if count
        ]
    return found


def _written(details: object) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in details if isinstance(details, list) else ():
        if isinstance(each, dict) and isinstance(each.get("ttl"), str):
            found[each["ttl"]] = found.get(each["ttl"], 0) + _count(each.get("inputTokens"))
    return found


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value < _MOST else 0
