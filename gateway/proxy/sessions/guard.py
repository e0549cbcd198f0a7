"""What may end a session while it is open: its key is taken away, or its budget is spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import trio

from ...config.snapshot import Snapshot
from ...core.records.pricing import Prices, cost
from ...core.records.usage import Usage
from ...errors import GatewayError, PermissionDenied, QuotaExceeded, StoreUnavailable
from ..access import authenticate
from ..exchange import Exchange

# Seconds for the limits to say what is left; the next look is a second later.
_PATIENCE: Final = 1.0


class SessionGuard:
    """Looks after one session of `exchange` with the model `name`.

    `key` is what its caller has shown, and `current` returns the configuration that is in use now.
    """

    def __init__(
        self,
        exchange: Exchange,
        key: bytes | None,
        name: str,
        current: Callable[[], Snapshot | None],
    ) -> None:
        self._exchange = exchange
        self._key = key
        self._name = name
        self._current = current
        self._counted = 0
        self._spent = 0
        scopes = exchange.caller.scopes
        self._budgeted = tuple(each for each in scopes if each.budget is not None)

    def __repr__(self) -> str:
        return f"<SessionGuard of {self._name}, {self._spent} spent>"

    def spent(self, answers: Sequence[Usage], prices: Prices) -> None:
        """Count what the answers that have come since the last time have cost."""
        new = answers[self._counted :]
        self._counted = len(answers)
        if self._budgeted and new:
            more = sum(cost(each, prices) or 0 for each in new)
            self._spent += more
            self._exchange.services.sessions.add(self._budgeted, more)

    def over(self) -> None:
        """Count nothing any more: the session's end tells the limits what it has cost."""
        if self._spent:
            self._exchange.services.sessions.add(self._budgeted, -self._spent)
            self._spent = 0

    async def objection(self) -> GatewayError | None:
        """Return why the session must not go on; None if it may."""
        return self._of_key() or await self._of_budget()

    def _of_key(self) -> GatewayError | None:
        snapshot = self._current()
        if snapshot is None:
            return None
        try:
            caller = authenticate(snapshot, self._key, time.time())
        except StoreUnavailable:
            # Nobody knows: what was true a second ago is the best there is.
            return None
        except GatewayError as exc:
            return exc
        if not caller.may_use(self._name):
            return PermissionDenied(
                f"this key does not have access to the model {self._name!r} any more",
                code="model_not_found",
                param="model",
            )
        return None

    async def _of_budget(self) -> GatewayError | None:
        if not self._budgeted:
            return None
        services = self._exchange.services
        with trio.move_on_after(_PATIENCE):
            found = await services.limits.status(self._budgeted, exact=True)
            for scope, status in zip(self._budgeted, found, strict=True):
                level = status.budget
                if level is None:
                    continue
                if level.spent + services.sessions.of(scope) >= level.limit:
                    return QuotaExceeded("the budget is spent", retry_after=level.reset)
        return None
