"""Frames both ways between a caller and a provider, until one of them or the gateway ends it.

    caller   --receive--> look, check --send--> provider
    provider --receive--> look        --send--> caller
    watch                 once a second: the key, the budget, the deadlines

Whatever ends first ends the others. Each side answers its own pings.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import trio

from ...core.dialects.sessions.base import CallerMessage, SessionTalk
from ...core.records.pricing import Prices
from ...core.records.record import EndReason
from ...core.wire.binary.socket_frames import (
    FAILED,
    GOING_AWAY,
    LOST,
    NORMAL,
    POLICY,
    SocketClose,
    SocketFrame,
)
from ...errors import ClientGone, GatewayError, SendStalled
from ...stops import RunningScope
from ...transport_errors import UpstreamFailure
from ..exchange import Exchange
from ..outcomes import Mask, RelayEnd
from .guard import SessionGuard
from .messages import MessageParts, masked, masked_text, next_message
from .notes import SessionNotes
from .sockets import CallerSocket, ProviderSocket

# Seconds. A key that was revoked is of no use two seconds later.
WATCH_EVERY: Final = 1.0
# Seconds for a provider to answer a close (RFC 6455 section 7.1.1 has the server end the
# connection). It has nothing more to say that anybody would hear.
CLOSE_SECONDS: Final = 2.0
# The code of an error at which clients open another session and go on there.
REOPEN: Final = "websocket_connection_limit_reached"
# Of a provider's close that says that it is done.
_WELL: Final = frozenset({NORMAL, GOING_AWAY, 1005})

# Says what is wrong with a message of the caller.
Check = Callable[[CallerMessage, str], Awaitable[GatewayError | None]]


class SessionBounds(msgspec.Struct, frozen=True):
    """In seconds; 0 is off.

    `stalled` is how long a provider may be silent while it owes an answer, or take nothing, `idle`
    how long both may be silent otherwise, `longest` how long a session may be.
    """

    stalled: float
    idle: float
    longest: float


class SessionRelay:
    """Relays one session, whose caller is accepted. `prices` are those of its answers.

    `close` is how the caller is to be told that it is over; None: as it has said itself. `told`
    says that it knows why, and `inside` that nothing can be said, inside a message of the provider.
    """

    def __init__(
        self,
        exchange: Exchange,
        caller: CallerSocket,
        provider: ProviderSocket,
        talk: SessionTalk,
        bounds: SessionBounds,
        *,
        check: Check,
        guard: SessionGuard,
        notes: SessionNotes,
        prices: Prices,
        mask: Mask,
        keep: Callable[[tuple[str, ...]], None],
    ) -> None:
        self.close: SocketClose | None = None
        self.told = False
        self._exchange = exchange
        self._caller = caller
        self._provider = provider
        self._talk = talk
        self._bounds = bounds
        self._check = check
        self._guard = guard
        self._notes = notes
        self._prices = prices
        self._mask = mask
        self._keep = keep
        self._parts = MessageParts()
        self._end: RelayEnd | None = None
        self._error: Exception | None = None
        self._heard = self._asked = trio.current_time()
        # Held from the first frame of a message to its last: what is said in between would be
        # taken for a part of it.
        self._line = trio.Lock()
        self.inside = False
        # The caller has closed, and is waited for no longer; the provider has.
        self._leaving = False
        self._gone = trio.Event()

    async def run(self, first: SocketFrame | None) -> RelayEnd:
        """Relay to the end and say which it was; `first` is what the provider has said already.

        Raises ClientGone.
        """
        async with trio.open_nursery() as nursery:
            for work in (self._upwards, lambda: self._downwards(first), self._watch):
                nursery.start_soon(self._until_end, work, nursery.cancel_scope)
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            error = None
        return self._end or RelayEnd(EndReason.COMPLETE)

    async def _until_end(
        self, work: Callable[[], Awaitable[None]], scope: trio.CancelScope
    ) -> None:
        try:
            await work()
        except SendStalled as exc:
            self._ended(RelayEnd(EndReason.SEND_TIMEOUT, str(exc)), None)
        except Exception as exc:  # noqa: BLE001  # exception groups stop here
            self._error = self._error or exc
        scope.cancel("the session is over")

    def _ended(self, end: RelayEnd, close: SocketClose | None) -> None:
        if self._end is None:
            self._end, self.close = end, close

    # From the caller...

    async def _upwards(self) -> None:
        while True:
            found = await next_message(self._caller)
            if isinstance(found, SocketClose):
                await self._left(found)
                return
            frames, text = found
            self._notes.caller(text)
            if text is not None:
                try:
                    looked = self._talk.from_caller(text)
                    error = await self._check(looked, text)
                    if looked.text is not None:
                        frames = [SocketFrame(looked.text)]
                except GatewayError as exc:
                    error = exc
                if error is not None:
                    await self._tell(error)
                    if error.code != REOPEN:
                        continue
                    self._ended(RelayEnd(EndReason.COMPLETE), SocketClose(GOING_AWAY, error.code))
                    return
            self._asked = trio.current_time()
            if not await self._sent(frames):
                return

    async def _sent(self, frames: list[SocketFrame]) -> bool:
        """Send a message to the provider; say whether the session goes on."""
        for frame in frames:
            with RunningScope(trio.current_time() + (self._bounds.stalled or math.inf)) as patience:
                try:
                    await self._provider.send(frame)
                except UpstreamFailure:
                    # The other task hears why. It has what the provider said before, too.
                    await trio.sleep_forever()
            if patience.cancelled_caught:
                message = f"the provider took nothing for {self._bounds.stalled:g} s"
                self._ended(RelayEnd(EndReason.IDLE_TIMEOUT, message), SocketClose(FAILED))
                return False
        return True

    async def _tell(self, error: GatewayError) -> None:
        """Answer a message that is not passed on."""
        event = self._exchange.dialect.error_event(error.message, error.code, error.type)
        await self._say(event)

    async def _say(self, event: bytes) -> None:
        with trio.move_on_after(WATCH_EVERY):
            async with self._line:
                self._notes.provider(event.decode())
                await self._caller.send(event)

    async def _left(self, close: SocketClose) -> None:
        working = self._talk.working
        if close.code == LOST:
            self._provider.abort()
            raise ClientGone
        self._leaving = True
        with trio.move_on_after(CLOSE_SECONDS):
            try:
                await self._provider.close(close)
                await self._gone.wait()
            except UpstreamFailure:
                self._gone.set()  # it has closed by itself
        if working:
            raise ClientGone
        self._ended(RelayEnd(EndReason.COMPLETE), None)

    # From the provider...

    async def _downwards(self, first: SocketFrame | None) -> None:
        if first is not None:
            await self._pass_on(first)
            if first.more:
                self._parts.add(first)
        while True:
            frame = await self._provider.receive()
            self._heard = trio.current_time()
            if isinstance(frame, SocketClose):
                self._gone.set()
                if self._leaving:
                    await trio.sleep_forever()
                self._closed(frame)
                return
            frame = masked(frame, self._mask.answer)
            if (text := self._parts.add(frame)) is not None:
                heard = self._talk.from_provider(text)
                if heard.fails:
                    frame = masked(frame, self._mask.error)
                    text = masked_text(text, self._mask.error)
                if heard.kept:
                    self._keep(heard.kept)
                self._guard.spent(self._talk.answers, self._prices)
            if not frame.more:
                self._notes.provider(text)
            await self._pass_on(frame)

    async def _pass_on(self, frame: SocketFrame) -> None:
        if not self.inside:
            await self._line.acquire()
        self.inside = True
        await self._caller.send_frame(frame)
        if not frame.more:
            self.inside = False
            self._line.release()

    def _closed(self, close: SocketClose) -> None:
        """Take note of how the provider has ended the session."""
        if close.code == LOST:
            end = RelayEnd(EndReason.UPSTREAM_BROKE, f"the provider is gone: {close.reason}")
            self._ended(end, SocketClose(FAILED))
        elif close.code in _WELL and not self._talk.working:
            self._ended(RelayEnd(EndReason.COMPLETE), close)
        else:
            said = SocketClose(close.code, self._mask.error(close.reason.encode()).decode())
            message = f"the provider closed with {close.code} {said.reason}".rstrip()
            # In the provider's own words: the close says it.
            self.told = True
            self._ended(RelayEnd(EndReason.UPSTREAM_BROKE, message), said)

    # What the gateway ends it for...

    async def _watch(self) -> None:
        until = trio.current_time() + (self._bounds.longest or math.inf)
        while True:
            await trio.sleep(min(WATCH_EVERY, max(0.0, until - trio.current_time())))
            now = trio.current_time()
            if now >= until:
                await self._reopen(f"a session may last {self._bounds.longest:g} s")
                return
            since = max(self._heard, self._asked)
            if self._talk.working and now - since >= (self._bounds.stalled or math.inf):
                message = f"the provider sent nothing for {self._bounds.stalled:g} s"
                self._ended(RelayEnd(EndReason.IDLE_TIMEOUT, message), SocketClose(FAILED))
                return
            if not self._talk.working and now - since >= (self._bounds.idle or math.inf):
                await self._reopen(f"nothing was said for {self._bounds.idle:g} s")
                return
            error = await self._guard.objection()
            if error is not None:
                await self._tell(error)
                self._exchange.settlement.refused(error)
                self.told = True
                end = RelayEnd(EndReason.REJECTED, error.message)
                self._ended(end, SocketClose(POLICY, error.message))
                return

    async def _reopen(self, message: str) -> None:
        """End a session that was well, and tell the caller to open another if it wants to go on."""
        dialect = self._exchange.dialect
        event = dialect.error_event(f"{message}; open another", REOPEN, "invalid_request_error")
        await self._say(event)
        self._ended(RelayEnd(EndReason.COMPLETE), SocketClose(GOING_AWAY, message))
