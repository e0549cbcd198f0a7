"""Which connections are closed to make room for others: those that have been idle for longest.

A client may open connections and say nothing on them, without any key. When as many are open as may
be, or one address has its share, an idle one goes for each that comes; what is being served stays.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

import trio

# The part of all connections that one address may have: more than a single proxy in front needs
# beside a few direct clients, and never all.
SHARE: Final = 0.8
# To look for them takes a look at each, so some are closed at a time.
_AT_ONCE: Final = 64


class Presence:
    """What a connection shows of itself: from where it is, and since when it has been idle.

    `idle_since` is in Trio's seconds, None while a request is served. `dismissed` says that it is
    to be closed as soon as it is idle; `wake` has it look.
    """

    __slots__ = ("_wake", "dismissed", "host", "idle_since")

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self.host = ""
        self.idle_since: float | None = trio.current_time()
        self.dismissed = False

    def __repr__(self) -> str:
        return f"<Presence of {self.host}, idle since {self.idle_since}>"

    def dismiss(self) -> None:
        """Close the connection if it is idle."""
        self.dismissed = True
        self._wake()


class CrowdedRoom:
    """The presences of all open connections, and how many there are of each host."""

    def __init__(self) -> None:
        self._present: set[Presence] = set()
        self._of_host: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<CrowdedRoom of {len(self._present)}>"

    def __len__(self) -> int:
        return len(self._present)

    def enter(self, presence: Presence) -> None:
        self._present.add(presence)
        self._of_host[presence.host] += 1

    def leave(self, presence: Presence) -> None:
        self._present.discard(presence)
        self._of_host[presence.host] -= 1
        if self._of_host[presence.host] <= 0:
            del self._of_host[presence.host]

    def has_room(self, host: str, most: int) -> bool:
        """Say whether one more connection of `host` may be taken, where `most` may be open.

        Idle ones are closed for it if there are any. They are gone a moment later, and until then
        the descriptors that are not for clients have to do.
        """
        share = int(most * SHARE)
        over = self._of_host[host] - share + 1
        if over > 0 and not close_longest_idle(self._present, over, host):
            return False
        if len(self._present) >= most:
            over = len(self._present) - most + 1
            return close_longest_idle(self._present, over) > 0 and over <= most // 20 + 1
        return True


def close_longest_idle(
    connections: Iterable[Presence], number: int, host: str | None = None
) -> int:
    """Close the `number` that have been idle for longest, of `host` alone if that is given.

    Return how many there were.
    """
    idle = (
        (since, index, each)
        for index, each in enumerate(connections)
        if (since := each.idle_since) is not None
        and not each.dismissed
        and (host is None or each.host == host)
    )
    chosen = heapq.nsmallest(min(number, _AT_ONCE), idle)
    for _, _, each in chosen:
        each.dismiss()
    return len(chosen)
