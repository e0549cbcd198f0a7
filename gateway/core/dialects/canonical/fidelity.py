"""What a target cannot say: refused, or left out and listed.

    hint     harmless to leave out: the answer would be the same, or only slower or dearer. Caches,
             ids for abuse reports, preferences of speed.
    demand   changes the answer. Refused with the member's name, unless the configuration says
             `[translation] unsupported = "drop"`.

Either way it is listed, in `x-gateway-dropped` and in the record. `docs/fidelity.md` has the table.
"""

from __future__ import annotations

import re
from typing import Final

from ...records.shown_name import shortened

# A header and a column hold so many; a request could have a thousand blocks of one kind.
MOST_LISTED: Final = 32
_UNSHOWN: Final = re.compile(r"[^ !-+\--~]")


class Untranslatable(Exception):
    """A deployment's API cannot say what the request demands; `member` is the request's."""

    def __init__(self, member: str, why: str) -> None:
        super().__init__(f"{member}: {why}")
        self.member = member
        self.why = why


class Fidelity:
    """Collects what is left out of one request for one target."""

    __slots__ = ("_drop", "_dropped")

    def __init__(self, *, drop: bool) -> None:
        self._drop = drop
        # A dict for its order.
        self._dropped: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"<Fidelity {self.dropped}>"

    @property
    def dropped(self) -> tuple[str, ...]:
        """Return the members that were left out, in the order in which they were met."""
        return tuple(self._dropped)

    def hint(self, member: str) -> None:
        """Leave out what is harmless."""
        if len(self._dropped) < MOST_LISTED:
            # Callers choose the names, which stand in a header.
            self._dropped[_UNSHOWN.sub("?", shortened(member))] = None

    def demand(self, member: str, why: str) -> None:
        """Leave out what changes the answer, or raise Untranslatable."""
        if not self._drop:
            raise Untranslatable(shortened(member), why)
        self.hint(member)
