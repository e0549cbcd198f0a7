"""Token counts as Gemini has them (`types.py`, GenerateContentResponseUsageMetadata).

    input   promptTokenCount, which includes what the cache gave (cachedContentTokenCount), and
            beside it toolUsePromptTokenCount: what Google's own tools have put into the prompt
    output  candidatesTokenCount, and beside it thoughtsTokenCount: reasoning is no part of it

`totalTokenCount` is the sum of all four. Where it is the sum without the thoughts, the candidates
have them already: servers that are compatible count so. Each event of a stream has the counts of
all so far; the larger number is the later one.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...records.usage import Usage

_DECODER: Final = msgspec.json.Decoder()
# More than any answer has: a count beyond it is a fault, and would use up every budget.
_MOST: Final = 2**31
_COUNTS: Final = (
    *("promptTokenCount", "candidatesTokenCount", "totalTokenCount"),
    *("cachedContentTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount"),
)
# Where counts by modality stand.
_BY_MODALITY: Final = (
    *("promptTokensDetails", "toolUsePromptTokensDetails", "candidatesTokensDetails"),
)


class GeminiUsage:
    """The reports of one answer, put together."""

    __slots__ = ("_found", "_kinds", "_latest", "_read")

    def __init__(self) -> None:
        self._found = dict.fromkeys(_COUNTS, 0)
        # By the member and the modality.
        self._kinds: dict[tuple[str, str], int] = {}
        # What was made of them since the last one came.
        self._read: Usage | None = None
        # The report that came last, not read yet: the next one says the same and more.
        self._latest: bytes | msgspec.Raw = b""

    def __repr__(self) -> str:
        return f"<GeminiUsage {self._found}>"

    def add(self, raw: bytes | msgspec.Raw) -> None:
        """Take note of one `usageMetadata`; of anything else, nothing.

        Every event has one, and to read it takes longer than all the rest of the event.
        """
        if len(raw) < len(self._latest):
            # It may leave out what the one before has said.
            self._add(self._latest)
        self._latest = raw
        self._read = None

    def _add(self, raw: bytes | msgspec.Raw) -> None:
        try:
            found = _DECODER.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if not isinstance(found, dict):
            return
        for name, before in self._found.items():
            if value := found.get(name):
                self._found[name] = max(before, _count(value))
        for name in _BY_MODALITY:
            if details := found.get(name):
                self._add_details(name, details)

    def _add_details(self, name: str, details: Any) -> None:
        for each in details if isinstance(details, list) else ():
            if isinstance(each, dict) and isinstance(kind := each.get("modality"), str):
                key = name, kind.upper()
                self._kinds[key] = max(self._kinds.get(key, 0), _count(each.get("tokenCount")))

    @property
    def usage(self) -> Usage | None:
        """Return what the reports say together; None if they count nothing."""
        if self._read is None:
            if self._latest:
                self._add(self._latest)
                self._latest = b""
            self._read = self._together()
        return self._read

    def _together(self) -> Usage | None:
        found = self._found
        prompt = found["promptTokenCount"] + found["toolUsePromptTokenCount"]
        spoken, thoughts = found["candidatesTokenCount"], found["thoughtsTokenCount"]
        total = found["totalTokenCount"]
        output = spoken if spoken and total == prompt + spoken else spoken + thoughts
        if total > prompt + output and not spoken:
            # The total alone says how many came out.
            output = total - prompt
        if not (prompt or output):
            return None
        return Usage(
            input_tokens=prompt,
            output_tokens=output,
            cached_tokens=min(found["cachedContentTokenCount"], prompt),
            reasoning_tokens=min(thoughts, output),
            input_audio_tokens=min(self._of("AUDIO", *_BY_MODALITY[:2]), prompt),
            input_image_tokens=min(self._of("IMAGE", *_BY_MODALITY[:2]), prompt),
            output_audio_tokens=min(self._of("AUDIO", _BY_MODALITY[2]), output),
            output_image_tokens=min(self._of("IMAGE", _BY_MODALITY[2]), output),
        )

    def _of(self, kind: str, *names: str) -> int:
        return sum(self._kinds.get((name, kind), 0) for name in names)


def read_usage(raw: bytes | msgspec.Raw) -> Usage | None:
    """Read one `usageMetadata`; None if it is no object or counts nothing."""
    reports = GeminiUsage()
    reports.add(raw)
    return reports.usage


def _count(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        # ProtoJSON writes numbers of 64 bits as strings.
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value < _MOST else 0
