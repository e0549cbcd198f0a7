"""From a table as TOML gives it to its Struct, or to everything that is wrong with it.

msgspec stops at the first fault and knows no environment, so this walks a table along its
type and hands msgspec only the leaves. What it says names each by its full path, such as
`routes[1].timeouts.idle`, and quotes no value, which may be a secret, but one of a short list.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from .environment import MissingVariable, expand

T = TypeVar("T", bound=msgspec.Struct)

# Longer than any word that is expected, and shorter than most keys.
_SHOWN: Final = 24
_TYPE: Final = re.compile(r"`([^`]*)`")
_MOMENT: Final = "a date and time with an offset, such as 2027-01-01T00:00:00Z"
_WORDS: Final = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "a table",
    "dict": "a table",
    "tuple": "an array",
    "datetime": "a date and time",
    "date": "a date",
    "time": "a time",
}


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return what is wrong with a key that is none of `known`, and which was probably meant."""
    # Only for what is said of a faulty file.
    import difflib

    close = difflib.get_close_matches(key, known := sorted(known), n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
    return f"unknown key; {hint}"


def read_plain(value: Any, kind: type[T]) -> T | None:
    """Return `value` as a `kind` if it has no fault and no reference to replace.

    Nearly every table is like that, and this takes a tenth of what `TableReader` does: a file
    may hold a hundred thousand tokens.
    """
    if not _is_plain(value):
        return None
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return "${" not in value
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return True
    for item in value:  # noqa: SIM110 - a generator takes twice as long
        if not _is_plain(item):
            return False
    return True


class TableReader:
    """Reads one table. `problems` are pairs of a path in it and what is wrong there."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.problems: list[tuple[str, str]] = []
        self._environ = environ

    def read(self, path: str, value: Any, kind: Any) -> Any:
        """Return `value`, expanded, in such a form that msgspec converts it to `kind`.

        What it returns is of use only if it has added no problem.
        """
        # TOML has no null: what is optional is absent.
        choices = _choices(kind)
        if len(choices) == 1:
            kind = choices[0]
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._struct(path, value, kind)
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is tuple and isinstance(value, list):
            return [self.read(f"{path}[{at}]", item, arguments[0]) for at, item in enumerate(value)]
        if origin is dict and isinstance(value, dict):
            return {
                key: self.read(f"{path}.{key}", item, arguments[1]) for key, item in value.items()
            }
        return self._leaf(path, value, kind)

    def _struct(self, path: str, value: Any, kind: type[msgspec.Struct]) -> Any:
        if not isinstance(value, dict):
            self._problem(path, f"expected a table, got {_WORDS[_type_of(value)]}")
            return None
        prefix = f"{path}." if path else ""
        fields = _fields(kind)
        for name, field in fields.items():
            if field.required and name not in value:
                self._problem(f"{prefix}{name}", f"missing; expected {_expected(field.type)}")
        found = {}
        for key, item in value.items():
            if key in fields:
                found[key] = self.read(f"{prefix}{key}", item, fields[key].type)
            else:
                self._problem(f"{prefix}{key}", unknown_key(key, fields))
        return found

    def _leaf(self, path: str, value: Any, kind: Any) -> Any:
        try:
            expanded = expand(value, self._environ)
        except MissingVariable as exc:
            self._problem(path, str(exc))
            return None
        try:
            # Strict: a number in quotes is a mistake to point at, not to guess about...
            # except where the environment, which knows only strings, supplied it.
            found = msgspec.convert(expanded, kind, strict=expanded == value)
        except msgspec.ValidationError as exc:
            self._problem(path, _in_words(str(exc), kind) + _echo(value, expanded, kind))
            return None
        if isinstance(found, float) and not math.isfinite(found):
            self._problem(path, f"expected a finite number, got {found}")
        return found

    def _problem(self, path: str, what: str) -> None:
        self.problems.append((path, what))


@cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    # It reads the annotations anew each time, which is most of what a table takes.
    return {field.name: field for field in msgspec.structs.fields(kind)}


def _in_words(message: str, kind: Any) -> str:
    """Return msgspec's `message` as it would be said to a person."""
    if len(_choices(kind)) > 1 or get_origin(kind) is Literal or _bare(kind) is datetime:
        return f"expected {_expected(kind)}"
    for note in _notes(kind):
        # A description says more to a reader of the message than a regular expression.
        if note.description is not None and "regex" in message:
            return f"expected {note.description}"
    message = message.partition(" - at `")[0].replace(" | null`", "`")
    words = _TYPE.sub(lambda match: _WORDS.get(match[1], match[1]), message)
    return words[:1].lower() + words[1:]


def _echo(value: Any, expanded: Any, kind: Any) -> str:
    """Return what was given where the right values are a list of words; else nothing.

    Not what a variable stands for, which may be a secret.
    """
    choices = _choices(kind)
    words = len(choices) == 1 and get_origin(choices[0]) is Literal
    if not words or not isinstance(value, str) or expanded != value:
        return ""
    return got(value)


def got(value: str) -> str:
    """Return a value of the file, where it can be shown, to be put behind what was expected."""
    return f', got "{value}"' if len(value) <= _SHOWN and value.isprintable() else ""


def _expected(kind: Any) -> str:
    choices = _choices(kind)
    if len(choices) > 1:
        return " or ".join(_expected(each) + _range(each) for each in choices)
    if get_origin(choices[0]) is Literal:
        return " or ".join(f'"{choice}"' for choice in get_args(choices[0]))
    bare = _bare(choices[0])
    if bare is datetime:
        return _MOMENT
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        return "a table"
    return _WORDS.get(getattr(get_origin(bare) or bare, "__name__", ""), "a value")


def _range(kind: Any) -> str:
    bounds = ((note, sign) for note in _notes(kind) for sign in ("gt", "ge", "lt", "le"))
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    found = [
        f"{signs[sign]} {bound:g}"
        for note, sign in bounds
        if (bound := getattr(note, sign)) is not None
    ]
    return f" {' and '.join(found)}" if found else ""


def _choices(kind: Any) -> list[Any]:
    """Return what `kind` may be beside absent: itself, unless it is a union."""
    if get_origin(kind) in (Union, UnionType):
        return [each for each in get_args(kind) if each is not NoneType]
    return [kind]


def _notes(kind: Any) -> list[Meta]:
    return [note for note in get_args(kind)[1:] if isinstance(note, Meta)]


def _bare(kind: Any) -> Any:
    """Return the type that an Annotated one is about."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _type_of(value: Any) -> str:
    return "array" if isinstance(value, list) else type(value).__name__
