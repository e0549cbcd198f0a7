"""The response cache of one process: what is stored, and what is being answered for many."""

from __future__ import annotations

from typing import Protocol

import trio

from ...core.cache.answers import AnswerStore, CachedAnswer, CachePolicy
from .flights import Flights


class SharedAnswers(Protocol):
    """Answers that other processes have kept."""

    async def find(self, key: bytes, now: float) -> CachedAnswer | None:
        """Return the answer to `key`. Bounds its wait, and never fails: what is away is None."""
        ...

    def keep(self, key: bytes, answer: CachedAnswer) -> None:
        """Have `answer` kept for the others. Must neither wait nor fail."""
        ...


class ResponseCache:
    """`flights.run` must be running for requests that share calls."""

    def __init__(self, policy: CachePolicy, shared: SharedAnswers | None = None) -> None:
        self.store = AnswerStore(policy)
        self.flights = Flights()
        self.shared = shared
        if shared is not None:
            self.store.kept = shared.keep

    def __repr__(self) -> str:
        return f"<ResponseCache {self.store!r}, {self.flights!r}>"

    async def find(self, key: bytes, ttl: float) -> CachedAnswer | None:
        """Return the answer to `key` that is younger than `ttl`, whoever has kept it."""
        entry = self.store.get(key, trio.current_time(), ttl)
        if entry is not None or self.shared is None:
            return entry
        entry = await self.shared.find(key, trio.current_time())
        now = trio.current_time()
        if entry is None or now >= entry.created + min(ttl, entry.ttl):
            return None
        self.store.put(key, entry, now, own=False)
        return entry
