"""Token counts as Anthropic has them.

A stream has them in two events: `message_start` with the prompt's, `message_delta` with running
totals of all, which go on from those of the first and may have more of the prompt (server tools
read what they have found). So the larger number of each count is the later one.

    input       without what the cache gave and took: the three are added
                (docs.anthropic.com, "Prompt caching", tracking cache performance)
    cache       written for five minutes and for an hour, by `cache_creation`, at two prices;
                `message_delta` has only the sum of both
    searches    in `server_tool_use`, charged apart from the tokens
    reasoning   in `output_tokens_details`, a part of the output

Servers with a compatible API leave counts out, send null or repeat zeros.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...records.usage import Usage

_DECODER: Final = msgspec.json.Decoder()
# More than any answer has: a count beyond it is a fault, and would use up every budget.
_MOST: Final = 2**31
_COUNTS: Final = (
    *("input_tokens", "output_tokens"),
    *("cache_read_input_tokens", "cache_creation_input_tokens"),
)
_LIFETIMES: Final = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
_THINKING: Final = ("thinking_tokens", "reasoning_tokens")


class MessageUsage:
    """The reports of one answer, put together."""

    __slots__ = ("_found", "_lifetimes", "_read", "_searches", "_thinking")

    def __init__(self) -> None:
        self._found = dict.fromkeys(_COUNTS, 0)
        self._lifetimes = dict.fromkeys(_LIFETIMES, 0)
        self._thinking = 0
        self._searches = 0
        # What was made of them since the last one came.
        self._read: Usage | None = None

    def __repr__(self) -> str:
        return f"<MessageUsage {self._found}>"

    def add(self, raw: bytes | msgspec.Raw) -> None:
        """Take note of one `usage` object; of anything else, nothing."""
        try:
            found = _DECODER.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if not isinstance(found, dict):
            return
        self._read = None
        _grow(self._found, found)
        if isinstance(by_lifetime := found.get("cache_creation"), dict):
            _grow(self._lifetimes, by_lifetime)
        if isinstance(details := found.get("output_tokens_details"), dict):
            self._thinking = max(self._thinking, *(_count(details.get(n)) for n in _THINKING))

        if isinstance(own := found.get("server_tool_use"), dict):
            self._searches = max(self._searches, _count(own.get("web_search_requests")))

    @property
    def usage(self) -> Usage | None:
        """Return what the reports say together; None if they count nothing."""
        if self._read is None:
            self._read = self._together()
        return self._read

    def _together(self) -> Usage | None:
        found = self._found
        five_minutes, hour = self._lifetimes.values()
        cached = found["cache_read_input_tokens"]
        written = max(found["cache_creation_input_tokens"], five_minutes + hour)
        prompt = found["input_tokens"] + cached + written
        output = found["output_tokens"]
        if not (prompt or output):
            return None
        return Usage(
            input_tokens=prompt,
            output_tokens=output,
            cached_tokens=cached,
            reasoning_tokens=min(self._thinking, output),
            cache_write_tokens=written,
            cache_write_1h_tokens=hour,
            web_searches=self._searches,
        )


def read_usage(raw: bytes | msgspec.Raw) -> Usage | None:
    """Read one `usage` object; None if it is no object or counts nothing."""
    reports = MessageUsage()
    reports.add(raw)
    return reports.usage


def _grow(known: dict[str, int], found: dict[str, Any]) -> None:
    for name, before in known.items():
        value = found.get(name)
        if value:
            known[name] = max(before, _count(value))


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value < _MOST else 0
