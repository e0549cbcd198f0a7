"""What this process follows of what operators change for all processes.

SQLAlchemy takes longer to import than all the rest of the start, so that what needs it is imported
here only if there is a database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
import trio

from ...background import persist
from ...config.callers import AllCallers, Caller, callers_of
from ...config.schema import Config
from ...config.snapshot import Snapshot
from ...core.processes import ProcessRow
from ...errors import StoreUnavailable
from ...group.known.presence import ProcessPresence
from ...proxy.in_flight import InFlight
from ...state.health import LocalHealth
from ..recording import Recording
from .roll_call import RollCall

if TYPE_CHECKING:
    from ...state.redis.process_roll import ProcessRoll
    from ...store.control.grants import KeyGrant
    from ...store.held.holder import Holder
    from .heartbeat import Heartbeat
    from .orders import Orders
    from .stored_keys import StoredKeys


# Seconds that a starting process waits for the first answer.
_BEGIN: Final = 2.0
# And for one order to be written.
_TIMEOUT: Final = 2.0

_log = structlog.get_logger(__name__)


class Following:
    """`replace` puts what the given function makes of the snapshot in use into its place.

    `row` returns how the process is, as it tells the others; `roll` is where it does so beside the
    database, and what is ordered of processes is ordered there, if there is one. `reload` is called
    when an administrator of another host has reloaded.
    """

    def __init__(
        self,
        recording: Recording,
        health: LocalHealth,
        in_flight: InFlight,
        replace: Callable[[Callable[[Snapshot], Snapshot]], None],
        row: Callable[..., ProcessRow],
        presence: ProcessPresence,
        roll: ProcessRoll | None = None,
        reload: Callable[[], None] | None = None,
    ) -> None:
        # Tells the other processes that an operator has changed something, if there are any.
        self.tell: Callable[[], None] | None = None
        # Tells them that an administrator has reloaded.
        self.tell_reload: Callable[[], None] | None = None
        self.presence = presence
        self._recording = recording
        self._row = lambda: row(keys_generation=self._generation)
        self._roll_call = None if roll is None else RollCall(roll, presence, in_flight, self._row)
        self._replace = replace
        self._keys: StoredKeys | None = None
        self._orders: Orders | None = None
        self._heartbeat: Heartbeat | None = None
        self._holder: Holder | None = None
        self._grants: Sequence[KeyGrant] = ()
        # Before, there is no snapshot in use.
        self._started = False
        if recording.database is not None:
            from ...store.held.holder import Holder
            from .heartbeat import Heartbeat
            from .orders import Orders
            from .stored_keys import StoredKeys

            assert recording.leadership is not None
            self._holder = Holder(recording.database, recording.leadership, self.hurry)
            self._keys = StoredKeys(recording.database, self._follow_keys)
            self._heartbeat = Heartbeat(recording.database, self._row)
            self._orders = Orders(
                recording.database,
                health,
                in_flight,
                captures=recording.captures,
                grant=self._follow_grants,
                drain=presence.obey if roll is None else None,
                reload=reload,
            )

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
        if self._keys is None:
            return snapshot
        return self._granted(self._keys.adopt(config, snapshot, found))

    async def look(self) -> None:
        """Do what has been ordered up to now, without waiting for the next look.

        What has changed of keys is read at once as well, but not awaited; and the others are told.
        """
        if self._keys is not None:
            self._keys.hurry()
        if self.tell is not None:
            self.tell()
        if self._roll_call is not None:
            await self._roll_call.answer()
        if self._orders is not None:
            await self._orders.refresh()

    async def order_reload(self) -> None:
        """Have the processes of other hosts reload as well; those that cannot hear of it do not."""
        database = self._recording.database
        if self.tell_reload is not None:
            self.tell_reload()
        if database is None:
            return
        # Imported late: a gateway without a database needs none of it.
        from ...store.control.generations import RELOADS, advance

        try:
            await database.write(lambda connection: advance(connection, RELOADS), _TIMEOUT)
        except StoreUnavailable as exc:
            _log.warning("other hosts are not told of a reload", error=exc.message)

    def hurry(self) -> None:
        """Look now, since another process says that there is something to see."""
        if self._roll_call is not None:
            self._roll_call.hurry()
        if self._keys is not None:
            self._keys.hurry()
        if self._orders is not None:
            self._orders.hurry()

    def start(self, nursery: trio.Nursery) -> None:
        """Begin to follow what changes, in `nursery`."""
        self._started = True
        if self._holder is not None:
            nursery.start_soon(persist, self._holder.run)
        if self._keys is not None:
            nursery.start_soon(persist, self._keys.run)
        if self._orders is not None:
            nursery.start_soon(persist, self._orders.run)
        if self._heartbeat is not None:
            nursery.start_soon(persist, self._heartbeat.run)
        if self._roll_call is not None:
            nursery.start_soon(persist, self._roll_call.run)
        nursery.start_soon(persist, self.presence.run)

    @property
    def _generation(self) -> int | None:
        return None if self._keys is None else self._keys.generation

    def _follow_grants(self, grants: Sequence[KeyGrant]) -> None:
        self._grants = grants
        if self._started:
            self._replace(self._granted)

    def _granted(self, snapshot: Snapshot) -> Snapshot:
        """Return `snapshot` with the callers that the grants stand for."""
        if not self._grants and not snapshot.grants:
            return snapshot
        granted = callers_of_grants(self._grants, snapshot.callers.values())
        return msgspec.structs.replace(snapshot, grants=granted)

    def _follow_keys(self, config: Config, found: AllCallers) -> None:
        self._replace(lambda snapshot: self.adopt(config, snapshot, found))


def callers_of_grants(grants: Sequence[KeyGrant], callers: Iterable[Caller]) -> dict[bytes, Caller]:
    """Return who may call by `grants`: each may what its key may, and no longer than that.

    A key that is rotated has two secrets, of which the one that lasts counts.
    """
    wanted = {each.token for each in grants}
    by_name: dict[str, Caller] = {}
    for caller in callers if wanted else ():
        if caller.name in wanted:
            known = by_name.get(caller.name)
            if known is None or (known.expires is not None and caller.expires is None):
                by_name[caller.name] = caller
    return {
        grant.digest: msgspec.structs.replace(
            key,
            digest=grant.digest,
            expires=min(grant.until, grant.until if key.expires is None else key.expires),
            granted_to=grant.granted_to,
        )
        for grant in grants
        if (key := by_name.get(grant.token)) is not None
    }
