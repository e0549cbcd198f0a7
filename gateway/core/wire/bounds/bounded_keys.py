"""Decode an object with a bound on its members, which is kept while they are read.

msgspec tells how many there are only once it has made them all: 33 MB of distinct members take
2.8 s and 655 MB. An Enum that knows none of its values asks Python about each key, and there the
decoding can end.
"""

from __future__ import annotations

import enum
from contextvars import ContextVar
from typing import Final

import msgspec

from ..json_scan import MAX_MEMBERS, TooManyMembers

# Of the decoding under way: several threads may read a body each.
_COUNT: Final[ContextVar[list[int]]] = ContextVar("count")


class _Key(enum.Enum):
    NONE = "\0"

    # By identity: a name that stands many times would meet all of its like in one place of the
    # dictionary.
    __hash__ = object.__hash__

    @classmethod
    def _missing_(cls, value: object) -> _Key:
        count = _COUNT.get()
        count[0] += 1
        if count[0] > MAX_MEMBERS:
            raise TooManyMembers
        key = object.__new__(cls)
        key._value_ = str(value)
        return key


_DECODER: Final = msgspec.json.Decoder(dict[_Key, msgspec.Raw])


def decode_bounded(body: bytes) -> dict[str, msgspec.Raw]:
    """Return the members of an object, of each name the last.

    Raises TooManyMembers, also if it is one name that stands too often, and what msgspec does.
    """
    count = [0]
    token = _COUNT.set(count)
    try:
        found = _DECODER.decode(body)
    except msgspec.ValidationError:
        if count[0] > MAX_MEMBERS:
            # msgspec says instead that the value is none of the Enum's.
            raise TooManyMembers from None
        raise
    finally:
        _COUNT.reset(token)
    return {str(key.value): raw for key, raw in found.items()}
