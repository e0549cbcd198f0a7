"""The values of a label, bounded in number so that Prometheus can bear them.

Every distinct set of label values is a series that lives as long as the process, and in
Prometheus for weeks. A wildcard lets callers choose the names of models, so a caller could make
any number of series: https://prometheus.io/docs/practices/naming/#labels.
"""

from __future__ import annotations

from typing import Final

OTHER: Final = "other"
# Longer than any provider's own names; `shortened` cuts callers' at about the same length.
LONGEST: Final = 200


class LabelValues:
    """At most `limit` values of one label; all further ones are shown as "other"."""

    __slots__ = ("_limit", "_shown")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._shown: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<LabelValues {len(self._shown)} of {self._limit}>"

    def known(self, value: str) -> str | None:
        """Return how `value` is shown, None if it is not among the values."""
        return self._shown.get(value)

    def add(self, value: str) -> str:
        """Add `value` if there is room, and return how it is shown."""
        shown = self._shown.get(value)
        if shown is not None:
            return shown
        if len(self._shown) >= self._limit or len(value) > LONGEST:
            return OTHER
        shown = self._shown[value] = clean(value)
        return shown


def clean(value: str) -> str:
    """Return `value` without what could confuse a terminal, a line-based tool or an encoder.

    A lone surrogate, for one, which JSON can bring along, would make every later scrape fail.
    """
    if value.isprintable():
        return value
    return "".join(each if each.isprintable() else "\ufffd" for each in value)
