"""What the open sessions of this process have cost so far.

Limits are told of a request's cost at its end, and a session may be open for an hour. So that a
budget ends sessions that use it up, each counts here what its answers have cost meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ...core.limits.ledger import Scope


class SessionSpending:
    """Nano-dollars by the keys of scopes."""

    def __init__(self) -> None:
        self._spent: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<SessionSpending {dict(self._spent)}>"

    def add(self, scopes: Sequence[Scope], nano_usd: int) -> None:
        """Count what an open session has spent; less than nothing, once it has ended."""
        for scope in scopes:
            self._spent[scope.key] += nano_usd
            if not self._spent[scope.key]:
                del self._spent[scope.key]

    def of(self, scope: Scope) -> int:
        """Return what the open sessions of `scope` have spent."""
        return self._spent[scope.key]
