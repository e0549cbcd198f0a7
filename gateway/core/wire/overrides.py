"""Members of a request by which a caller could choose what the gateway has chosen for it.

Some providers are gateways themselves: a list of `models` to try, or a base URL to call, in the
body goes before the model that the caller was checked for. Which members those are, each kind of
provider says; the names are compared as the most careless reader would (`member_names.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from .member_names import NameTable
from .splice import InvalidJSON, JsonMember, members

_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ANY: Final = msgspec.json.Decoder()
_ESCAPE: Final = b"\\u"
# Lone ones are valid JSON that msgspec does not read.
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
# Braces of a list whose items are looked at; the tools of an agent have some hundred.
_MOST_BRACES: Final = 100_000
# Levels of objects that are looked into: a tool, and what it is called with.
_DEEPEST: Final = 2


class Override(NamedTuple):
    """`path` is for people. `models` are the names that the member asks for, if that is all."""

    name: str
    path: str
    models: tuple[str, ...] | None = None


class Overrides:
    """What a kind of provider acts on.

    names       members of the body
    beginnings  how the names of others begin
    inside      what may stand in a member that is otherwise harmless, or in its items; a name
                that ends in [] counts only as a list
    models      like `inside`, but for the names of models alone: whoever may use those may say them
    """

    def __init__(
        self,
        names: Iterable[str] = (),
        beginnings: Iterable[str] = (),
        inside: Mapping[str, Iterable[str]] | None = None,
        models: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self._names: Final = NameTable(names, beginnings)
        self._inside: Final = {name: _Inner(found) for name, found in (inside or {}).items()}
        self._models: Final = {name: _Inner(found) for name, found in (models or {}).items()}
        self._holders: Final = NameTable((*self._inside, *self._models))

    def __repr__(self) -> str:
        return f"<Overrides {sorted(self._inside)}>"

    def named(self, name: str) -> bool:
        """Say whether a member, or a parameter of a query, of that name is one."""
        return self._names[name] is not None

    def find(self, found: Iterable[JsonMember], body: bytes) -> Iterator[Override]:
        """Yield those among the members of `body`."""
        names, holders = self._names, self._holders
        for member in found:
            key = member.key
            if (name := names[key]) is not None:
                if not _says_nothing(body[member.value_start : member.end]):
                    yield Override(name, key)
            elif (holder := holders[key]) is not None:
                raw = body[member.value_start : member.end]
                if (inner := self._inside.get(holder)) is not None:
                    for path, name, _ in inner.find(raw, key):
                        yield Override(f"{holder}.{name}", path)
                if (inner := self._models.get(holder)) is not None:
                    for path, name, value in inner.find(raw, key):
                        yield Override(f"{holder}.{name}", path, _texts(value))


NO_OVERRIDES: Final = Overrides()


class _Inner:
    """Looks for some names inside a member: an object, or a list of them."""

    def __init__(self, names: Iterable[str]) -> None:
        names = tuple(names)
        self._lists: Final = {name[:-2] for name in names if name.endswith("[]")}
        names = tuple(name.removesuffix("[]") for name in names)
        self._names: Final = NameTable(names)
        # What each name has in it, however it is written but for escapes and letters beyond ASCII.
        self._signs: Final = tuple({name[:5].encode() for name in names})

    def find(self, raw: bytes, path: str) -> Iterator[tuple[str, str, bytes]]:
        """Yield path, name and value of each that is there."""
        if self._may_have(raw):
            yield from self._look(raw, path, 0)

    def _may_have(self, raw: bytes) -> bool:
        # Tools may be long, and this is all that most requests pay for them.
        if _ESCAPE in raw:
            return True
        lower = raw.lower()
        return any(sign in lower for sign in self._signs)

    def _look(self, raw: bytes, path: str, depth: int) -> Iterator[tuple[str, str, bytes]]:
        if raw.startswith(b"[") and depth == 0:
            items = _items(raw)
            if items is None:
                yield path, "", b"0"
                return
            for number, item in enumerate(items):
                text = bytes(item)
                if text.startswith(b"{") and self._may_have(text):
                    yield from self._look_into(text, f"{path}[{number}]", depth)
        elif raw.startswith(b"{"):
            yield from self._look_into(raw, path, depth)

    def _look_into(self, raw: bytes, path: str, depth: int) -> Iterator[tuple[str, str, bytes]]:
        try:
            # With those that stand there twice: readers differ in which of them counts.
            found = members(raw)
        except InvalidJSON:
            yield path, "", b"0"
            return
        for member in found:
            value = raw[member.value_start : member.end]
            if (name := self._names[member.key]) is not None:
                if not _says_nothing(value) and (name not in self._lists or value.startswith(b"[")):
                    yield f"{path}.{member.key}", name, value
            elif depth + 1 < _DEEPEST and value.startswith(b"{"):
                yield from self._look_into(value, f"{path}.{member.key}", depth + 1)


def _items(raw: bytes) -> list[msgspec.Raw] | None:
    """Return the items of a list; None if there are too many to look at."""
    if raw.count(b"{") > _MOST_BRACES:
        return None
    try:
        return _ITEMS.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        try:
            return _ITEMS.decode(_SURROGATE.sub(rb"\\u0020", raw))
        except (msgspec.DecodeError, RecursionError):
            return None


def _says_nothing(raw: bytes) -> bool:
    return raw in (b"null", b"[]", b"{}", b'""')


def _texts(raw: bytes) -> tuple[str, ...]:
    """Return the texts that `raw` is or has; one that nobody may use for anything else."""
    try:
        value = _ANY.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return ("",)
    items = value if isinstance(value, list) else [value]
    return tuple(each if isinstance(each, str) else "" for each in items)
