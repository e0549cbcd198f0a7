"""What is remembered of an object that a provider keeps."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Final, Protocol

import msgspec

# About 300 bytes each.
MOST: Final = 20_000


class KeptObject(msgspec.Struct, frozen=True):
    """`owner` is the name of the key that made it, `account` the id of the provider's key.

    `part_of` is the batch whose results it is; "": none's.
    """

    id: str
    owner: str
    provider: str
    account: str
    part_of: str = ""


class ObjectKeeper(Protocol):
    """Where they are remembered."""

    async def find(self, ids: Collection[str]) -> list[KeptObject]:
        """Return those of `ids` that are known, whoever has them. Raises StoreUnavailable."""
        ...

    async def keep(self, objects: Iterable[KeptObject]) -> None:
        """Remember `objects`; of those that are known already nothing changes.

        Raises StoreUnavailable.
        """
        ...

    async def forget(self, id: str) -> None:
        """Forget the object `id`. Raises StoreUnavailable."""
        ...

    async def claim(self, id: str) -> bool:
        """Say whether what the batch `id` has cost is to be charged now: yes, once.

        Not if it is not known. Raises StoreUnavailable.
        """
        ...


class ObjectsInMemory:
    """Remembers the latest, until the process ends: for a gateway without a database."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._objects: OrderedDict[str, KeptObject] = OrderedDict()
        self._charged: set[str] = set()

    def __repr__(self) -> str:
        return f"<ObjectsInMemory, {len(self._objects)}>"

    async def find(self, ids: Collection[str]) -> list[KeptObject]:
        return [self._objects[id] for id in ids if id in self._objects]

    async def keep(self, objects: Iterable[KeptObject]) -> None:
        for each in objects:
            self._objects.setdefault(each.id, each)
            if len(self._objects) > self._most:
                self._charged.discard(self._objects.popitem(last=False)[0])

    async def forget(self, id: str) -> None:
        self._objects.pop(id, None)
        self._charged.discard(id)

    async def claim(self, id: str) -> bool:
        if id not in self._objects or id in self._charged:
            return False
        self._charged.add(id)
        return True
