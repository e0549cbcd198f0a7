"""From a committed stream to its caller: pump, bounded channel, relay.

    upstream --receive_some--> pump --channel--> relay --rewrite, send--> caller
                                 |                                           ^
                                 +------- rewrite, send what needs no wait --+

The two are separate tasks because a write to a caller who reads slowly must not keep the
provider's connection from being closed when the request is cancelled. The channel is bounded,
so a slow caller stops the pump, the socket's buffer fills, and TCP tells the provider to wait.

The relay takes all that is waiting and sends it at once: the busier the gateway, the more
events share one rewrite and one write, and the cost of an event falls under load.

While the relay has nothing to do, and the caller's socket takes what comes at once, the pump does
it: to wake the relay for it costs a fourth of an event that comes alone (measured). Everything
else, the end first of all, is the relay's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from ...core.dialects.base import StreamRewriter
from ...core.records.gaps import GapCounts
from ...core.records.record import EndReason
from ...core.routing.causes import Cause
from ...errors import SendStalled
from ...stops import RunningScope, running_after, stops
from ...transport_errors import LocalShortage, UpstreamFailure
from ..outcomes import Committed, RelayEnd
from ..protocols import Client, UpstreamResponse
from .reading.channel import ask_for_comment, receive_waiting, take_waiting
from .reading.grace import END_GRACE, EndGrace
from .silence import Silence

# Reads are 32 KiB at most (upstream/connection.py), so a caller who stops reading holds
# 3 of them in the channel, one in the pump's hand and up to four in the relay's: 256 KiB.
CHUNKS_IN_FLIGHT: Final = 3
_COMPLETE: Final = RelayEnd(EndReason.COMPLETE)


class Relay:
    """Relays one committed stream. Once `run` has returned, the upstream is closed.

    `sealed` says that the last write has begun, so that nothing can be said behind it, and
    `end` how the stream ended as soon as that is certain: whoever cancels `run` while it only
    waits for the provider's last bytes changes nothing for the caller.
    """

    def __init__(
        self,
        client: Client,
        committed: Committed,
        rewriter: StreamRewriter,
        *,
        idle: float,
        keep_alive: bytes,
        keep_alive_after: float,
        gaps: GapCounts,
    ) -> None:
        self._client = client
        self._response: UpstreamResponse = committed.response
        self._rewriter = rewriter
        self._output = committed.output
        self._mask = committed.mask
        self._idle = idle
        self._silence = Silence(idle, keep_alive_after)
        self._keep_alive = keep_alive
        self._gaps = gaps
        self._failure: RelayEnd | None = None
        self._grace = EndGrace(rewriter)
        # What writes without waiting, where the client has it.
        self._send_part: Callable[[bytes], bool | None] | None = getattr(client, "send_part", None)
        # The relay waits for what comes next, so the pump may do its work.
        self._resting = False
        # Output that the pump has left to the relay, and whether half a part has been sent before.
        self._left: bytes | None = None
        self._torn = False
        self.sealed = False
        self.end: RelayEnd | None = None

    async def run(self) -> RelayEnd:
        """Relay to the end and say which it was.

        A complete stream has been finished towards the caller; whatever else happened, it is
        for who called `run` to tell it.
        """
        try:
            if self._rewriter.ended:
                # All of it came with the first read: no tasks, and one write.
                end = await self._conclude(self._output)
                await self._await_end()
                return end
            return await self._run()
        finally:
            await self._response.aclose()

    async def _run(self) -> RelayEnd:
        chunks_in, chunks_out = trio.open_memory_channel[bytes](CHUNKS_IN_FLIGHT)
        end: RelayEnd | None = None
        async with trio.open_nursery() as nursery:
            pumping = trio.CancelScope()
            pumped = trio.Event()
            nursery.start_soon(self._pump, chunks_in, pumping, pumped)
            nursery.start_soon(
                self._silence.watch, pumping.cancel, lambda: ask_for_comment(chunks_in)
            )

            async def relay() -> None:
                # A task of its own, though this one has nothing to do meanwhile: to wake a
                # task goes through every await it stands in, twenty here and three there.
                nonlocal end
                with chunks_out:
                    try:
                        end = await self._relay(chunks_out)
                    except SendStalled as exc:
                        end = RelayEnd(EndReason.SEND_TIMEOUT, str(exc))
                if self._rewriter.done:
                    with running_after(END_GRACE):
                        await pumped.wait()
                nursery.cancel_scope.cancel("stream relayed")

            nursery.start_soon(relay)
        assert end is not None
        return end

    async def _pump(
        self,
        chunks: trio.MemorySendChannel[bytes],
        pumping: trio.CancelScope,
        pumped: trio.Event,
    ) -> None:
        with chunks:
            try:
                with pumping:
                    await self._read(chunks)
                if pumping.cancelled_caught:
                    message = f"the provider sent nothing for {self._idle:g} s"
                    self._failure = RelayEnd(EndReason.IDLE_TIMEOUT, message)
            except UpstreamFailure as exc:
                cause = Cause.LOCAL_SHORTAGE if isinstance(exc, LocalShortage) else None
                self._failure = RelayEnd(EndReason.UPSTREAM_BROKE, str(exc), cause=cause)
            finally:
                pumped.set()
                await self._response.aclose()

    async def _read(self, chunks: trio.MemorySendChannel[bytes]) -> None:
        response, silence, add_gap = self._response, self._silence, self._gaps.add
        while chunk := await response.receive_some():
            now = trio.current_time()
            add_gap(now - silence.heard)
            silence.heard = now
            if self._resting:
                to_relay = self._pass_on(chunk, now)
                if to_relay is None:
                    continue
                chunk = to_relay
            try:
                try:
                    chunks.send_nowait(chunk)
                    self._resting = False
                except trio.WouldBlock:
                    silence.blocked = True
                    await chunks.send(chunk)
                    silence.blocked = False
                    silence.heard = trio.current_time()
            except trio.BrokenResourceError:
                # The relay has all it wants. Read on to the body's end, so that the connection
                # can be used again; the relay bounds the time for that.
                continue

    def _pass_on(self, chunk: bytes, now: float) -> bytes | None:
        """Do the relay's work on `chunk`; return what the relay is to get, None for nothing.

        That is `chunk`, or b"" if it has become something that is `_left`.
        """
        send_part = self._send_part
        if send_part is None or self._rewriter.finished:
            return chunk
        rewriter = self._rewriter
        output = self._masked(rewriter.feed(chunk))
        if rewriter.finished or rewriter.ended:
            self._left = output
            return b""
        if not output:
            return None
        sent = send_part(output)
        if sent:
            self._silence.spoke = now
            return None
        self._left, self._torn = (output, False) if sent is None else (b"", True)
        return b""

    async def _relay(self, chunks: trio.MemoryReceiveChannel[bytes]) -> RelayEnd:
        client, rewriter, silence = self._client, self._rewriter, self._silence
        output = self._output
        while True:
            if output:
                await client.send(output)
                silence.spoke = trio.current_time()
            if rewriter.finished:
                data = await self._receive_last(chunks)
            else:
                data = await self._rest(chunks)
            if data is None:
                # What a lost connection leaves behind may be cut anywhere, even as whole JSON.
                return await self._conclude(b"" if self._failure else self._masked(rewriter.end()))
            left, self._left = self._left, None
            output = (b"" if left is None else left) + self._masked(rewriter.feed(data))
            if rewriter.ended:
                return await self._conclude(output)
            if self._torn:
                self._torn = False
                await client.send(output)
                silence.spoke = trio.current_time()
                output = b""
            elif not data and left is None and silence.quiet():
                await client.keep_alive(self._keep_alive)
                silence.spoke = trio.current_time()

    async def _rest(self, chunks: trio.MemoryReceiveChannel[bytes]) -> bytes | None:
        """Return what comes next; meanwhile the pump may do what there is to do."""
        try:
            return take_waiting(chunks, [chunks.receive_nowait()])
        except trio.EndOfChannel:
            return None
        except trio.WouldBlock:
            # Between here and the wait nothing else runs: `receive` finds nothing either.
            self._resting = True
            try:
                return await receive_waiting(chunks)
            finally:
                self._resting = False

    async def _receive_last(self, chunks: trio.MemoryReceiveChannel[bytes]) -> bytes | None:
        """Return the next chunks of an answer that is whole; None if it has ended or shall end."""
        stopped = stops()
        with RunningScope(self._grace.over_at() + stopped.total):
            return await receive_waiting(chunks)
        # A caller who is slow to take the last write does not cost it what has come meanwhile.
        return take_waiting(chunks, []) or None

    async def _conclude(self, output: bytes) -> RelayEnd:
        """Send the last `output` and, only if the stream is whole, what makes it complete."""
        rewriter = self._rewriter
        lost = self._failure is not None and self._failure.reason is not EndReason.IDLE_TIMEOUT
        whole = rewriter.done or (rewriter.finished and not lost)
        if whole and rewriter.error is None and rewriter.broken is None:
            # Some providers forget to say that it is over; a complete answer and a proper end of
            # the body, or silence, are as good.
            self.sealed = True
            await self._client.finish(output + rewriter.finish())
            self.end = _COMPLETE
            return _COMPLETE
        if output:
            await self._client.send(output)
        if rewriter.error is not None:
            message = "the provider ended the stream with an error"
            if (foreign := rewriter.foreign_error) is not None:
                said, code = foreign
                told = self._without_keys(said.encode()).decode("utf-8", "replace")
                return RelayEnd(EndReason.UPSTREAM_BROKE, f"{message}: {told}", code=code)
            event = self._without_keys(rewriter.error)
            return RelayEnd(EndReason.UPSTREAM_BROKE, message, event)
        return self._failure or RelayEnd(
            EndReason.UPSTREAM_BROKE,
            rewriter.broken or "the provider ended the stream in the middle",
        )

    def _masked(self, output: bytes) -> bytes:
        return output if self._mask is None or not output else self._mask.answer(output)

    def _without_keys(self, error: bytes) -> bytes:
        return error if self._mask is None else self._mask.error(error)

    async def _await_end(self) -> None:
        if self._rewriter.done:
            try:
                with running_after(END_GRACE):
                    while await self._response.receive_some():
                        pass
            except UpstreamFailure:
                # The answer is complete; only the connection is lost with it.
                return
