"""How deeply JSON is nested, with a bound of our own.

Without one, the bound is the interpreter's, which differs: CPython 3.11 ends at about 1000 levels
less the calls under way, 3.13 at about 10,000. A request would be valid on one machine and not on
the next, and what reads it by recursion in Python would fail where the parser did not.

A walk over the bytes in Python would take 100 ms for each MB. So almost everything is known to be
shallow by the number of its brackets, and the rest is done by functions that are loops in C.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Final

# Levels that callers may use. serde_json's bound is 128, Go's encoding/json's 10,000; real requests
# have some tens, most of them in the schemas of tools.
MAX_DEPTH: Final = 512
# And what is read at all, providers' answers above all: translation puts something around what it
# is given. What CPython 3.11 leaves where most calls are under way is some 850.
MOST_READ: Final = 640
_BLOCK: Final = 512

# Brackets become +1 and -1 as signed bytes, so that sums of them are levels; quotes stay.
_KEPT: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_REST: Final = bytes(each for each in range(256) if each not in b'[]{}"')
_UP: Final = b"\x01"


def nested_too_deeply(data: bytes, most: int = MAX_DEPTH) -> bool:
    """Say whether `data` has more than `most` levels, whether or not it is whole JSON."""
    if len(data) <= most or data.count(b"[") + data.count(b"{") <= most:
        return False
    steps = _steps(data)
    level = 0
    for start in range(0, len(steps), _BLOCK):
        end = min(start + _BLOCK, len(steps))
        ups = steps.count(_UP, start, end)
        # Only where a block could get there is each of its steps looked at.
        if level + ups > most:
            block = memoryview(steps)[start:end].cast("b")
            if level + max(accumulate(block)) > most:
                return True
        level += 2 * ups - (end - start)
    return False


def _steps(data: bytes) -> bytes:
    """Return the brackets outside of strings as signed bytes: +1 opens, -1 closes."""
    if b'\\"' in data:
        # A quote ends a string unless an odd number of backslashes is before it.
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    steps = data.translate(_KEPT, _REST).replace(b'""', b"")
    # Every second piece is a string; two quotes side by side were nothing in one, or between two.
    return b"".join(steps.split(b'"')[::2]) if b'"' in steps else steps
