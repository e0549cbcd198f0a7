"""Which settings differ between two configurations: their names, never their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from .schema import Config


def changes(old: Config, new: Config) -> list[str]:
    """Return the names of what differs, such as `server.bind` or `tokens.alice.rpm`.

    A whole table that came or went is one name: `models.chat`.
    """
    return list(_differences("", old, new))


def changed_tokens(old: Config, new: Config) -> dict[str, list[str]]:
    """Return the settings that differ of each token that both configurations have."""
    before, after = _by_name(old.tokens), _by_name(new.tokens)
    found = {
        name: list(_differences("", before[name], after[name]))
        for name in before.keys() & after.keys()
        if before[name] != after[name]
    }
    # A token that went to the other file with all its settings is the same.
    return {name: settings for name, settings in sorted(found.items()) if settings}


def _differences(path: str, old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    ours, theirs = _members(old), _members(new)
    if ours is None or theirs is None:
        yield path
        return
    prefix = f"{path}." if path else ""
    for name in dict.fromkeys((*ours, *theirs)):
        if name in ours and name in theirs:
            yield from _differences(f"{prefix}{name}", ours[name], theirs[name])
        else:
            yield f"{prefix}{name}"


def _members(value: Any) -> Mapping[str, Any] | None:
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple) and all(hasattr(each, "name") for each in value):
        return _by_name(value)
    return None


def _by_name(tables: Sequence[Any]) -> dict[str, Any]:
    return {table.name: table for table in tables}
