"""What this process follows of what operators change for all processes.

SQLAlchemy takes longer to import than all the rest of the start, so that what needs it is imported
here only if there is a database.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import trio

from ...background import persist
from ...config.callers import AllCallers, callers_of
from ...config.schema import Config
from ...config.snapshot import Snapshot
from ...proxy.in_flight import InFlight
from ...state.health import LocalHealth
from ..recording import Recording

if TYPE_CHECKING:
    from .heartbeat import Heartbeat
    from .orders import Orders
    from .stored_keys import StoredKeys


# Seconds that a starting process waits for the first answer.
_BEGIN: Final = 2.0


class Following:
    """`replace` puts what the given function makes of the snapshot in use into its place.

    `state` returns how the process is, for the table of processes.
    """

    def __init__(
        self,
        recording: Recording,
        health: LocalHealth,
        in_flight: InFlight,
        replace: Callable[[Callable[[Snapshot], Snapshot]], None],
        state: Callable[[], dict[str, object]],
    ) -> None:
        self._recording = recording
        self._replace = replace
        self._keys: StoredKeys | None = None
        self._orders: Orders | None = None
        self._heartbeat: Heartbeat | None = None
        if recording.database is not None:
            from .heartbeat import Heartbeat
            from .orders import Orders
            from .stored_keys import StoredKeys

            self._keys = StoredKeys(recording.database, self._follow_keys)
            self._heartbeat = Heartbeat(recording.database, lambda: {
                **state(), "keys_generation": self._generation
            })  # fmt: skip
            self._orders = Orders(recording.database, health, in_flight)

    def __repr__(self) -> str:
        return f"<Following {self._keys}>"

    @property
    def closed(self) -> bool:
        """Say whether the gateway wants keys whatever its configuration says."""
        return self._keys is not None and self._keys.any

    async def begin(self, config: Config) -> AllCallers:
        """Return who may call by the first configuration."""
        if self._keys is not None:
            await self._keys.begin()
        if self._orders is not None:
            # What is drained is out from the first request on, unless that takes too long.
            with trio.move_on_after(_BEGIN):
                await self._orders.refresh()
        return await trio.to_thread.run_sync(self.callers, config, abandon_on_cancel=True)

    def callers(self, config: Config) -> AllCallers:
        """Return who may call by `config`; may take long, and is for a thread."""
        if self._keys is None:
            return AllCallers(callers_of(config))
        return self._keys.callers(config)

    def adopt(self, config: Config, snapshot: Snapshot, found: AllCallers) -> Snapshot:
        """Return `snapshot`, of `config`, with the callers that were `found` for it."""
        self._recording.know_tokens(found.stored)
        return snapshot if self._keys is None else self._keys.adopt(config, snapshot, found)

    def start(self, nursery: trio.Nursery) -> None:
        """Begin to follow what changes, in `nursery`."""
        if self._keys is not None:
            nursery.start_soon(persist, self._keys.run)
        if self._orders is not None:
            nursery.start_soon(persist, self._orders.run)
        if self._heartbeat is not None:
            nursery.start_soon(persist, self._heartbeat.run)

    @property
    def _generation(self) -> int | None:
        return None if self._keys is None else self._keys.generation

    def _follow_keys(self, config: Config, found: AllCallers) -> None:
        self._replace(lambda snapshot: self.adopt(config, snapshot, found))
