"""What has no counterpart, to be told to the person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class Leftovers:
    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def __repr__(self) -> str:
        return f"<Leftovers of {len(self._found)} kinds>"

    def note(self, what: str, where: str = "") -> None:
        """Take note of `what`; the same in several places is one line."""
        places = self._found.setdefault(what, [])
        if where and where not in places:
            places.append(where)

    def unknown(self, table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
        """Note each member of `table` that is none of those `known`."""
        taken = {*known}
        for key, value in table.items():
            if key not in taken and value not in (None, False, [], {}):
                self.note(f"{where}.{key}: has no counterpart")

    def lines(self) -> list[str]:
        shown = 6
        return [
            what
            + (f" ({', '.join(places[:shown])}" if places else "")
            + (f" and {len(places) - shown} more" if len(places) > shown else "")
            + (")" if places else "")
            for what, places in self._found.items()
        ]
