"""Names of JSON members as the most careless reader might take them.

Servers compare names without regard to case (Go's encoding/json), take `maxTokens` for `max_tokens`
(protobuf's JSON mapping), end a text at its first NUL (C), or drop what they cannot show. A name
that only such a reader takes for `model` could ask one server for what another has checked.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from .json_scan import MAX_MEMBERS

# What is left out before names are compared: blanks, control and format characters, marks of where
# something could not be decoded, the fillers and selectors that Unicode calls ignorable by default
# (UAX #44, Default_Ignorable_Code_Point), and what separates the words of a name.
_IGNORED: Final = re.compile(
    r"[\s\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffd\ud800-\udfff"
    r"\U000e0000-\U000e0fff_.\-]+"
)
# The same of ASCII alone.
_DROPPED: Final = bytes(range(0x21)) + b"_.-\x7f"
_SMALL: Final = bytes(range(256)).lower()
# Names longer than this are judged by their two ends: no member that decides anything is as long,
# and callers could have the middle of megabytes looked at.
_LOOKED_AT: Final = 32
# Callers choose the names, so those that are remembered are bounded, in number and length.
_MOST: Final = 1024


class _Letters(dict[str, str]):
    """What each character is taken for, in small letters; "" for one that is left out.

    Some ten thousand are taken for something in ASCII: these are remembered.
    """

    def __missing__(self, letter: str) -> str:
        like = _IGNORED.sub("", unicodedata.normalize("NFKC", letter)).casefold()
        if like.isascii():
            self[letter] = like
        return like


_LETTERS: Final = _Letters()


# A request's members are looked up in several tables, one after the other, and others' meanwhile.
@lru_cache(8 * MAX_MEMBERS)
def _folded(name: str) -> str:
    """Return what `name` may be taken for, in small letters and without separators.

    It ends with the first character that is taken for nothing in ASCII, as all names that are
    looked for are. Characters are taken one by one: what several combine to is not ASCII either,
    and to normalise 64 of them at once takes up to a millisecond (U+FDFA becomes 18).
    """
    if "\0" in name:
        # What stands behind one is not there for a reader in C.
        name = name.lstrip("\0").partition("\0")[0]
    if name.isascii():
        return name.encode().translate(_SMALL, _DROPPED).decode()
    found = []
    for letter in name:
        like = _LETTERS[letter]
        found.append(like)
        if not like.isascii():
            break
    return "".join(found)


def folded(name: str) -> str:
    """Return what `name` may be taken for, as `_folded` says, of a long one by its two ends."""
    if len(name) > 2 * _LOOKED_AT:
        name = name[:_LOOKED_AT] + name[-_LOOKED_AT:]
    return _folded(name)


class NameTable(dict[str, str | None]):
    """Finds the one of some names that a member's name is, or may be taken for; None: no such.

    A look-up of a name that has been seen before costs what one in a dictionary does.
    """

    def __init__(self, names: Iterable[str], beginnings: Iterable[str] = ()) -> None:
        super().__init__()
        self._names: Final = {folded(name): name for name in names}
        self._beginnings: Final = tuple(folded(each) for each in beginnings)

    def __missing__(self, name: str) -> str | None:
        like = folded(name)
        found = self._names.get(like)
        if found is None and like.startswith(self._beginnings):
            found = name
        if len(name) <= _LOOKED_AT:
            if len(self) >= _MOST:
                self.clear()
            self[name] = found
        return found
