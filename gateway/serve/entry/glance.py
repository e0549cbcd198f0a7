"""What a look at a new connection's first bytes tells, kept for the next that begin the same.

Who is turned away asks again, and sends the same head. To look through it takes 6 µs, a fifth of
what turning away costs; to find it here takes half of one. Heads have keys in them, so what is kept
of a head is its hash.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .asker import asker, body_length
from .dismissal import Dismissal, Kind

_END: Final = b"\r\n\r\n"
# As many heads as a few hundred clients send, in half a megabyte. More, and all are forgotten.
MOST: Final = 2048


class Glance(NamedTuple):
    """`caller` is empty if the address has to say who asks.

    `size` is that of the whole request; None if only a parser should say so, or if its head has not
    come yet.
    """

    caller: str
    size: int | None
    kind: Kind

    def by(self, host: str) -> str:
        """Return the name of who asks, from `host`."""
        return self.caller or host


class Glances:
    """Those at the heads that came lately."""

    def __init__(self) -> None:
        self._kept: dict[int, Glance] = {}

    def __repr__(self) -> str:
        return f"<Glances {len(self._kept)}>"

    def at(self, data: bytes, dismissal: Dismissal) -> Glance:
        """Return what `data`, the beginning of a request, tells."""
        end = data.find(_END)
        if end < 0:
            return Glance(asker(data, ""), None, dismissal.kind(data))
        head = data[: end + len(_END)]
        mark = hash(head)
        found = self._kept.get(mark)
        if found is None:
            length = body_length(head, last=True)
            size = None if length is None else len(head) + length
            found = Glance(asker(head, ""), size, dismissal.kind(head))
            if len(self._kept) >= MOST:
                self._kept.clear()
            self._kept[mark] = found
        return found
