"""Names of JSON members as the most careless reader might take them.

Servers compare names without regard to case (Go's encoding/json), take `maxTokens` for `max_tokens`
(protobuf's JSON mapping), end a text at its first NUL (C), or drop what they cannot show. A name
that only such a reader takes for `model` could ask one server for what another has checked.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

# What is left out before names are compared: blanks, control and format characters, marks of where
# something could not be decoded, the fillers and selectors that Unicode calls ignorable by default
# (UAX #44, Default_Ignorable_Code_Point), and what separates the words of a name.
_IGNORED: Final = re.compile(
    r"[\s\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffd\ud800-\udfff"
    r"\U000e0000-\U000e0fff_.\-]+"
)
# The same of ASCII alone.
_DROPPED: Final = {ord(each): None for each in "_.-\x7f"} | dict.fromkeys(range(0x21))
# Names longer than this are judged by their two ends: no member that decides anything is as long,
# and callers could have the middle of megabytes looked at.
_LOOKED_AT: Final = 32
# Callers choose the names, so those that are remembered are bounded, in number and length.
_MOST: Final = 1024


def folded(name: str) -> str:
    """Return what `name` may be taken for, in small letters and without separators."""
    return _IGNORED.sub("", _composed(name)).casefold()


def _composed(name: str) -> str:
    if len(name) > 2 * _LOOKED_AT:
        name = name[:_LOOKED_AT] + name[-_LOOKED_AT:]
    if "\0" in name:
        # What stands behind one is not there for a reader in C.
        name = name.lstrip("\0").partition("\0")[0]
    return name if name.isascii() else unicodedata.normalize("NFKC", name)


def _ascii_folded(name: str) -> str:
    """Return what is left of `folded` without all that is not ASCII: a quick first look."""
    composed = _composed(name)
    if not composed.isascii():
        composed = composed.encode("ascii", "ignore").decode("ascii")
    return composed.translate(_DROPPED).lower()


class NameTable(dict[str, str | None]):
    """Finds the one of some names that a member's name is, or may be taken for; None: no such.

    A look-up of a name that has been seen before costs what one in a dictionary does.
    """

    def __init__(self, names: Iterable[str], beginnings: Iterable[str] = ()) -> None:
        super().__init__()
        self._names: Final = {folded(name): name for name in names}
        self._beginnings: Final = tuple(folded(each) for each in beginnings)

    def __missing__(self, name: str) -> str | None:
        found = None
        if (quick := _ascii_folded(name)) in self._names or quick.startswith(self._beginnings):
            like = folded(name)
            found = self._names.get(like)
            if found is None and like.startswith(self._beginnings):
                found = name
        if len(name) <= _LOOKED_AT:
            if len(self) >= _MOST:
                self.clear()
            self[name] = found
        return found
