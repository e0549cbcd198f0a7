"""The response cache of one process: what is stored, and what is being answered for many."""

from __future__ import annotations

from ...core.cache.answers import AnswerStore, CachePolicy
from .flights import Flights


class ResponseCache:
    """`flights.run` must be running for requests that share calls."""

    def __init__(self, policy: CachePolicy) -> None:
        self.store = AnswerStore(policy)
        self.flights = Flights()

    def __repr__(self) -> str:
        return f"<ResponseCache {self.store!r}, {self.flights!r}>"
