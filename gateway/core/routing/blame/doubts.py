"""Refusals of a key that may be about the key or about the requests that were sent with it."""

from __future__ import annotations

from typing import Final

from .source import Source

# The statuses that may be about the key or about the request, unless known words say which.
DOUBTFUL: Final = frozenset({402, 403})
# More is not needed to know that there are several.
MOST: Final = 16


class Doubts:
    """The refusals of one key in a row. `count` is how many, `callers` how many were refused."""

    __slots__ = ("_bodies", "_names", "count")

    def __init__(self) -> None:
        self.count = 0
        self._names: set[str | int] = set()
        self._bodies: set[tuple[str | int, int]] = set()

    def __repr__(self) -> str:
        return f"<Doubts {self.count} by {self.callers}>"

    @property
    def callers(self) -> int:
        return len(self._names)

    def add(self, source: Source | None) -> None:
        """Count a refusal. One without a `source` counts as another caller's."""
        self.count += 1
        if len(self._bodies) < MOST:
            name = -self.count if source is None else source.name
            self._names.add(name)
            self._bodies.add((name, 0 if source is None else source.digest))

    def include(self, source: Source) -> bool:
        """Say whether this very body of the same caller was refused."""
        return (source.name, source.digest) in self._bodies
