"""One request's grant, as its process knows it."""

from __future__ import annotations

from ...core.limits.ledger import Demand, Grant
from ...core.limits.operations import GrantHolding


class SharedGrant:
    """One admitted request. `local` is its grant by this process's own share, if it has one.

    `known` says whether the store has ever been told of it.
    """

    __slots__ = ("demand", "holding", "known", "local")

    def __init__(self, holding: GrantHolding, demand: Demand, local: Grant | None) -> None:
        self.holding = holding
        self.demand = demand
        self.local = local
        self.known = local is None

    def leave_lease(self) -> None:
        """Take note that it holds no place any more."""
        held = self.holding
        self.holding = GrantHolding(held.id, held.scopes, held.charges, leased=False)

    def __repr__(self) -> str:
        return f"<SharedGrant {self.holding.id}, {'known' if self.known else 'of our share'}>"


def own_grant(grant: object) -> SharedGrant:
    """Return a grant that these limits have given, as such."""
    assert isinstance(grant, SharedGrant)
    return grant
