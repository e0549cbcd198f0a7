"""A place where processes keep their limits together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from ...core.limits.operations import LimitCall


class LimitStore(Protocol):
    """Does each `LimitCall` in one step, by its own clock.

    `hear` is called with what others have announced; it must neither wait nor fail.
    """

    hear: Callable[[bytes], None]

    @property
    def lost(self) -> str:
        """Return why the connection has ended by itself, if it has."""
        ...

    def connected(self) -> AbstractAsyncContextManager[None]:
        """Connect, for as long as the `async with` lasts. Raises StoreFailed."""
        ...

    async def call(self, call: LimitCall) -> Any:
        """Do it, and return what the call's type says. Raises StoreFailed, and then at once.

        Has no deadline of its own. Cancelled, it may have been done, or be done later.
        """
        ...
