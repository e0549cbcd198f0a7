"""An answer's bytes on their way to the caller.

    provider --receive_some--> pump --channel--> mask, look for usage --> caller

Two tasks, as in `attempts/relay.py`: while a write waits for a caller that reads slowly, the
provider's connection can still be closed. The channel is bounded, so that such a caller makes the
provider wait.
"""

from __future__ import annotations

import math
from typing import Final

import trio

from ...core.dialects.recognised.units import UnitCounter
from ...core.dialects.recognised.usage import UsageFinder
from ...core.records.record import EndReason
from ...errors import SendStalled
from ...stops import RunningScope
from ...transport_errors import UpstreamFailure
from ..attempts.own_keys import KeyMask
from ..outcomes import RelayEnd
from ..protocols import Client, UpstreamResponse
from .batch_cost import BatchCost
from .incoming import IncomingBody

_CHUNKS_WAITING: Final = 2
# What is held back of an event, in bytes: an image in a single one may have megabytes.
_MOST_HELD: Final = 64 * 1024
_BLANK_LINES: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")
_COMPLETE: Final = RelayEnd(EndReason.COMPLETE)


class AnswerRelay:
    """Relays the body of one answer, whose head the caller has. `idle` is in seconds.

    `batch` looks at it whatever it is, `finder` and `units` if it is a text, and `mask` takes keys
    out of it; None: as it comes. Of a stream of `events` only whole ones are sent, so that
    something can be said when it breaks: `inside` says that part of a very long one was sent all
    the same.
    """

    def __init__(
        self,
        client: Client,
        response: UpstreamResponse,
        body: IncomingBody,
        *,
        idle: float,
        finder: UsageFinder | None = None,
        units: UnitCounter | None = None,
        batch: BatchCost | None = None,
        mask: KeyMask | None = None,
        events: bool = False,
    ) -> None:
        self.inside = False
        self._client = client
        self._response = response
        self._body = body
        self._idle = idle or math.inf
        self._finder = finder
        self._units = units if finder is not None else None
        self._batch = batch
        self._mask = mask
        self._events = events
        # The end of what has come: of an event, or where it may be the beginning of a key.
        self._held = b""
        self._failure: RelayEnd | None = None

    async def run(self) -> RelayEnd:
        """Relay to the end and say which it was; only a whole answer is ended in order."""
        send, receive = trio.open_memory_channel[bytes](_CHUNKS_WAITING)
        end: RelayEnd | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pump, send)
            with receive:
                try:
                    end = await self._relay(receive)
                except SendStalled as exc:
                    end = RelayEnd(EndReason.SEND_TIMEOUT, str(exc))
            nursery.cancel_scope.cancel("answer relayed")
        return end

    async def _pump(self, chunks: trio.MemorySendChannel[bytes]) -> None:
        with chunks:
            try:
                while chunk := await self._receive_in_time():
                    await chunks.send(chunk)
            except UpstreamFailure as exc:
                self._failure = RelayEnd(EndReason.UPSTREAM_BROKE, str(exc))
            except trio.BrokenResourceError:
                # Nobody takes it any more.
                return
            finally:
                await self._response.aclose()

    async def _receive_in_time(self) -> bytes:
        with RunningScope(trio.current_time() + self._idle):
            return await self._response.receive_some()
        message = f"the provider sent nothing for {self._idle:g} s"
        self._failure = RelayEnd(EndReason.IDLE_TIMEOUT, message)
        return b""

    async def _relay(self, chunks: trio.MemoryReceiveChannel[bytes]) -> RelayEnd:
        async for chunk in chunks:
            if self._finder is not None:
                self._finder.feed(chunk)
            if self._units is not None:
                self._units.feed(chunk)
            if self._batch is not None:
                self._batch.feed(chunk)
            if shown := self._masked(chunk):
                await self._client.send(shown)
        if self._failure is not None:
            return self._failure
        await self._body.stop()
        await self._client.finish(self._held)
        return _COMPLETE

    def _masked(self, chunk: bytes) -> bytes:
        if self._mask is None:
            return chunk
        chunk = self._held + chunk
        end = _end_of_events(chunk) if self._events else len(chunk)
        if self._events and len(chunk) - end > _MOST_HELD:
            end = len(chunk)
            self.inside = True
        elif end:
            self.inside = False
        end -= self._mask.unfinished(chunk[:end])
        self._held = chunk[end:]
        return self._mask.answer(chunk[:end])


def _end_of_events(data: bytes) -> int:
    """Return where the last whole event in `data` ends, by its blank line; 0 if none does."""
    return max(data.rfind(each) + len(each) if each in data else 0 for each in _BLANK_LINES)
