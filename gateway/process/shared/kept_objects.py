"""Where this process remembers objects that providers keep: in the database, which all share."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable

from ...core.objects.kept import KeptObject
from ...store.engine.database import Database
from ...store.kept import objects

# Seconds for one transaction.
_TIMEOUT = 5.0


class StoredObjects:
    """See `core.objects.kept.ObjectKeeper`."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    def __repr__(self) -> str:
        return f"<StoredObjects in {self._database!r}>"

    async def find(self, ids: Collection[str]) -> list[KeptObject]:
        wanted = [*ids]
        return await self._database.read(
            lambda connection: objects.find(connection, wanted), _TIMEOUT
        )

    async def keep(self, kept: Iterable[KeptObject]) -> None:
        new, now = [*kept], self._now()
        await self._database.write(lambda connection: objects.keep(connection, new, now), _TIMEOUT)

    async def forget(self, id: str) -> None:
        await self._database.write(lambda connection: objects.forget(connection, id), _TIMEOUT)

    async def claim(self, id: str) -> bool:
        now = self._now()
        return await self._database.write(
            lambda connection: objects.claim(connection, id, now), _TIMEOUT
        )
