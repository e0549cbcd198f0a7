"""Where this process keeps responses: in the database, which all processes share."""

from __future__ import annotations

import time
from collections.abc import Callable

from ...core.dialects.keeping import KeptResponse, ResponsesPolicy
from ...store.engine.database import Database
from ...store.kept import responses

# Seconds for one transaction.
_TIMEOUT = 5.0


class StoredResponses:
    """See `core.dialects.keeping.ResponseKeeper`; `policy` follows reloads."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self.policy = ResponsesPolicy()
        self._database = database
        self._now = now

    def __repr__(self) -> str:
        return f"<StoredResponses in {self._database!r}>"

    def configure(self, policy: ResponsesPolicy) -> None:
        self.policy = policy

    async def find(self, owner: bytes, id: str) -> KeptResponse | None:
        return await self._database.read(
            lambda connection: responses.find(connection, owner, id), _TIMEOUT
        )

    async def keep(self, owner: bytes, kept: KeptResponse) -> None:
        most, now = self.policy.max_bytes_per_key, self._now()
        await self._database.write(
            lambda connection: responses.keep(connection, owner, kept, now, most), _TIMEOUT
        )

    async def forget(self, owner: bytes, id: str) -> bool:
        return await self._database.write(
            lambda connection: responses.forget(connection, owner, id), _TIMEOUT
        )
