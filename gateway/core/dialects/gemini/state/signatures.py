"""What of a part's `thoughtSignature` has to go back to where it came from.

Google wants a signature back at the very part that it stood at: a call, a text, an empty text
behind all texts (a stream's last), or a thought (ai.google.dev/gemini-api/docs/thought-signatures).
Other APIs have a place for the signatures of thinking alone, so the place is put in front of it.

    c0.SIGNATURE   the first call of the answer
    t.SIGNATURE    a text        e.SIGNATURE   an empty text       h.SIGNATURE   a thought
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, cast

# The family of signatures that Google's models make and take.
FAMILY: Final = "gemini"
_PACKED: Final = re.compile(r"([cteh])(\d{0,6})\.(.*)", re.DOTALL)

Place = Literal["c", "t", "e", "h"]


class PlacedSignature(NamedTuple):
    """`number` is that of a call within its answer."""

    place: Place
    number: int
    signature: str


def placed(place: Place, signature: str, number: int = 0) -> str:
    """Return a signature with its place."""
    return f"{place}{number if place == 'c' else ''}.{signature}"


def taken_apart(packed: str) -> PlacedSignature | None:
    """Return what `placed` was given; None for what it has not made."""
    match = _PACKED.fullmatch(packed)
    if match is None:
        return None
    return PlacedSignature(cast("Place", match[1]), int(match[2] or 0), match[3])
