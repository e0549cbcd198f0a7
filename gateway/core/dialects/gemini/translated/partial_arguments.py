"""Arguments of a call that come in pieces, put together (`types.py`, PartialArg).

Each piece says where it belongs by a path (`$.operations[0].price`) and has a value of one type.
Texts may come in several pieces, as long as `willContinue` says so. Numbers keep their digits.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

# RFC 9535: names behind a dot, or in brackets and quotes; numbers in brackets.
_STEP: Final = re.compile(
    r"\.([^.\[\]]+)|\[(\d{1,7})\]|\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]"
)
_ESCAPED: Final = re.compile(r"\\(.)")
_ENCODE: Final = msgspec.json.Encoder().encode
# What all pieces of a call may have together, in characters, and how deep and long they may be.
_MOST: Final = 16 * 1024 * 1024
_DEEPEST: Final = 64
_LONGEST_LIST: Final = 100_000


class _Piece(msgspec.Struct, rename="camel"):
    json_path: str = "$"
    string_value: str | None = None
    number_value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    bool_value: bool | None = None
    null_value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    will_continue: bool = False


_PIECES: Final = msgspec.json.Decoder(list[_Piece])


class _Text:
    """A text that may grow."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.pieces: list[str] = []


class PartialArguments:
    """The arguments of one call."""

    def __init__(self) -> None:
        self._root: Any = {}
        self._growing: _Text | None = None
        self._size = 0

    def __repr__(self) -> str:
        return f"<PartialArguments, {self._size} characters>"

    def add(self, raw: bytes | msgspec.Raw) -> None:
        """Take some pieces. Raises ValueError for what cannot be put together."""
        for piece in _PIECES.decode(raw):
            self._add(piece)

    def json(self) -> str:
        """Return them as JSON."""
        return _ENCODE(_plain(self._root)).decode()

    def _add(self, piece: _Piece) -> None:
        path, text = piece.json_path, piece.string_value
        self._size += len(path) + len(text or "") + 8
        if self._size > _MOST:
            raise ValueError("the arguments of a call are too long")
        growing = self._growing
        if growing is not None and growing.path == path and text is not None:
            growing.pieces.append(text)
            if not piece.will_continue:
                self._growing = None
            return
        self._growing = None
        value: Any = msgspec.Raw(b"null")
        if text is not None:
            value = _Text(path)
            value.pieces.append(text)
            if piece.will_continue:
                self._growing = value
        elif piece.bool_value is not None:
            value = piece.bool_value
        elif isinstance(piece.number_value, msgspec.Raw):
            value = msgspec.Raw(bytes(piece.number_value))
        elif piece.null_value is msgspec.UNSET:
            # An object or a list begins, and nothing is in it yet.
            value = None
        self._put(_steps(path), value)

    def _put(self, steps: list[str | int], value: Any) -> None:
        if not steps:
            return
        place = self._root
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            inner = value if following is None else _container(following)
            place = _at(place, step, inner, last=following is None)


def _container(step: str | int) -> Any:
    return [] if isinstance(step, int) else {}


def _at(place: Any, step: str | int, inner: Any, *, last: bool) -> Any:
    """Return what stands in `place` under `step`, where `inner` is put if nothing does."""
    fits = isinstance(place, list) if isinstance(step, int) else isinstance(place, dict)
    if not fits or (isinstance(step, int) and step > _LONGEST_LIST):
        raise ValueError("pieces of arguments do not fit together")
    if isinstance(step, int):
        place += [None] * (step + 1 - len(place))
        found = place[step]
    else:
        found = place.get(step)
    if found is not None and (not last or inner is None):
        return found
    place[step] = inner
    return inner


def _steps(path: str) -> list[str | int]:
    if not path.startswith("$"):
        raise ValueError("a path of arguments begins otherwise than with $")
    found: list[str | int] = []
    at = 1
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None or len(found) >= _DEEPEST:
            raise ValueError("a path of arguments cannot be read")
        name, number, single, double = match.groups()
        if number is not None:
            found.append(int(number))
        else:
            quoted = single if single is not None else double
            found.append(name if quoted is None else _ESCAPED.sub(r"\1", quoted))
        at = match.end()
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, _Text):
        return "".join(value.pieces)
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value
