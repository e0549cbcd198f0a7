"""Which model a name stands for: exact names, names that end in `*`, aliases of both."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Generic, TypeVar

import msgspec

from .schema import Model

T = TypeVar("T")

# Callers choose the names that a `*` lets through, so only so many are remembered.
MAX_REMEMBERED: Final = 1024


class NameMatch(msgspec.Struct, frozen=True):
    """The model that serves a name, and what its `*` stands for."""

    model: Model
    rest: str

    def fill(self, text: str) -> str:
        """Return `text` with a `*` at its end replaced by the rest of the name."""
        return text[:-1] + self.rest if text.endswith("*") else text


class Names:
    """The models by name. The longest beginning wins among those that end in `*`."""

    def __init__(self, models: Sequence[Model]) -> None:
        self.exact: Final = {each.name: each for each in models if not each.name.endswith("*")}
        families = [each for each in models if each.name.endswith("*")]
        self.families: Final = {
            each.name: each for each in sorted(families, key=lambda each: -len(each.name))
        }

    def match(self, name: str) -> NameMatch | None:
        """Return the model that stands for `name` itself, which may be an alias."""
        if (model := self.exact.get(name)) is not None:
            return NameMatch(model, "")
        for model in self.families.values():
            beginning = model.name[:-1]
            # An alias of a whole family says so with the `*` itself.
            if name.startswith(beginning) and len(name) > len(beginning):
                return NameMatch(model, name[len(beginning) :])
        return None

    def follow(self, name: str) -> Iterator[NameMatch]:
        """Yield the model that stands for `name` and those that its aliases lead to.

        Ends at a model without an alias, at an alias without a model, and before a model comes
        again: the alias of a family to a part of itself would lengthen the name for ever.
        """
        seen: set[str] = set()
        while (found := self.match(name)) is not None and found.model.name not in seen:
            seen.add(found.model.name)
            yield found
            if found.model.alias is None:
                return
            name = found.fill(found.model.alias)


class Catalog(Generic[T]):
    """What is served under each name. `make` builds it for a name that exists."""

    def __init__(self, names: Names, make: Callable[[str], T]) -> None:
        self._exact: Mapping[str, T] = {name: make(name) for name in names.exact}
        self._families = [make(name) for name in names.families]
        self._names = names
        self._make = make
        self._remembered: OrderedDict[str, T] = OrderedDict()

    def __iter__(self) -> Iterator[T]:
        """Yield what has a name of its own, in the configuration's order."""
        return iter(self._exact.values())

    def __contains__(self, name: object) -> bool:
        """Say whether the configuration itself has the name."""
        return name in self._exact

    def knows(self, name: str) -> bool:
        """Say whether `get` would find something, and make nothing."""
        return (
            name in self._exact or name in self._remembered or self._names.match(name) is not None
        )

    def everything(self) -> Iterator[T]:
        """Yield also what stands behind the names that end in `*`."""
        yield from self._exact.values()
        yield from self._families

    def get(self, name: str) -> T | None:
        if (found := self._exact.get(name)) is not None:
            return found
        if (found := self._remembered.get(name)) is not None:
            self._remembered.move_to_end(name)
            return found
        if self._names.match(name) is None:
            return None
        found = self._remembered[name] = self._make(name)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return found
