"""Which deployment keeps what requests may go on from: responses and conversations, by their ids.

The map is this process's own and bounded. The ids are passed on as the provider made them: a mark
in them would have to be put in and taken out at every place where one may stand. So an id that is
not known here, after a restart or in another process, is asked for at one deployment after
another, each of which answers at once that it does not have it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

import msgspec

# About 300 bytes each. At a request a second they are those of half a day.
MOST: Final = 50_000


class Home(msgspec.Struct, frozen=True, gc=False):
    """Where something is kept: `caller` is the digest of whose it is, `deployment` a state key.

    `model` is the name under which its caller asked.
    """

    caller: bytes
    deployment: str
    model: str


class AnswerHomes:
    """The homes by id, least recently used first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        # By a digest, since providers choose how long an id is.
        self._homes: OrderedDict[bytes, Home] = OrderedDict()

    def __repr__(self) -> str:
        return f"<AnswerHomes of {len(self._homes)}>"

    def __len__(self) -> int:
        return len(self._homes)

    def keep(self, id: str, home: Home) -> None:
        """Take note of where `id` is kept."""
        key = _digest(id)
        self._homes[key] = home
        self._homes.move_to_end(key)
        if len(self._homes) > self._most:
            self._homes.popitem(last=False)

    def find(self, id: str) -> Home | None:
        """Return where `id` is kept; None if that is not known."""
        key = _digest(id)
        home = self._homes.get(key)
        if home is not None:
            self._homes.move_to_end(key)
        return home

    def forget(self, id: str) -> None:
        """Take note that `id` is kept no longer."""
        self._homes.pop(_digest(id), None)


def _digest(id: str) -> bytes:
    return hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
