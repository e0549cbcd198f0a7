"""What the store itself says of limits, for who wants to know more than the last answer said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...core.limits.ledger import LimitStatus, Scope
from ...core.limits.operations import ScopeLevel, StatusCall, StoreFailed, status_of
from .link import StoreLink

# So many scopes are asked for at a time: the store does nothing else meanwhile.
_BATCH: Final = 100


async def exactly(link: StoreLink, scopes: Sequence[Scope]) -> list[LimitStatus] | None:
    """Return what the store says of `scopes`; None if it cannot be asked."""
    found: list[LimitStatus] = []
    for start in range(0, len(scopes), _BATCH):
        batch = tuple(scopes[start : start + _BATCH])
        try:
            levels: list[ScopeLevel] = await link.ask(StatusCall(batch))
        except StoreFailed:
            return None
        found += map(status_of, batch, levels)
    return found
