"""The reports of usage in one answer, from wherever its provider puts them.

Compatible servers leave counts out and spread them over several reports of one stream: the prompt
in its first chunk, the answer in its last. The reports are merged as they are spelled, and
`counts` reads what they mean from all of them together.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....records.counting import UsageRule
from ....records.usage import Usage
from .costs import COSTS
from .counts import KNOWN, is_complete, of_timings, together, usage_of

_DECODER: Final = msgspec.json.Decoder()
_PLACE_DECODER: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
# OpenAI takes 128 choices at most.
_MOST_CHOICES: Final = 1024


class UsageReports:
    """The reports of one answer, put together to one usage."""

    __slots__ = ("_choices", "_found", "_read", "_rule", "_timings")

    def __init__(self, rule: UsageRule = "usual") -> None:
        self._rule: UsageRule = rule
        self._found: dict[str, Any] = {}
        self._choices: dict[int, UsageReports] = {}
        self._timings: bytes | msgspec.Raw | None = None
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

    def add_of_choice(self, index: int, raw: bytes | msgspec.Raw) -> None:
        """Take note of the `usage` in a choice, which counts that one alone."""
        choice = self._of_choice(index)
        if choice is not None:
            choice.add(raw)

    def add_found_of_choice(self, index: int, found: object) -> None:
        """Do the same with one that has been decoded."""
        choice = self._of_choice(index) if isinstance(found, dict) else None
        if choice is not None:
            choice.add_found(found)

    def _of_choice(self, index: int) -> UsageReports | None:
        self._read = None
        choice = self._choices.get(index)
        if choice is None and len(self._choices) < _MOST_CHOICES:
            choice = self._choices[index] = UsageReports(self._rule)
        return choice

    def add_timings(self, raw: bytes | msgspec.Raw) -> None:
        """Take note of llama.cpp's `timings`, which grow with each event that has them."""
        self._read = None
        self._timings = raw

    def add_found(self, found: object) -> None:
        """Take note of a report that has been decoded."""
        if not isinstance(found, dict):
            return
        known = self._found
        self._read = None
        if known and is_complete(found):
            # This one is complete by itself: an older total would contradict it.
            known.pop("total_tokens", None)
        for name in found.keys() & KNOWN:
            value = found[name]
            # Running totals grow, and a zero in a later report says nothing about the others.
            if not value:
                if value == 0 and value is not False and name in COSTS:
                    known.setdefault(name, 0)
                continue
            before = known.get(name)
            if isinstance(value, dict) and isinstance(before, dict):
                value = {**before, **{key: each for key, each in value.items() if each}}
            known[name] = value

    @property
    def usage(self) -> Usage | None:
        """Return what the reports say together; None if they count nothing and say no cost."""
        if self._read is None:
            self._read = self._together()
        return self._read

    def tell_of_answer(self, *, finished: bool) -> bool:
        """Say whether they count the answer, or nothing of it though it has `finished`.

        The first chunk of some servers has the prompt's count alone; the rest is still to come.
        llama.cpp's `timings` will do: usage comes right behind them, or not at all.
        """
        usage = self.usage
        return usage is not None and (usage.output_tokens > 0 or finished)

    def _together(self) -> Usage | None:
        found = usage_of(self._found, self._rule) if self._found else None
        if self._choices:
            return together(found, [each.usage for each in self._choices.values()])
        if found is None and self._timings is not None:
            return of_timings(self._timings)
        return found


def read_usage(raw: bytes | memoryview | msgspec.Raw, rule: UsageRule = "usual") -> Usage | None:
    """Read one `usage` object; None if it is no object or says nothing."""
    reports = UsageReports(rule)
    reports.add(raw)
    return reports.usage
