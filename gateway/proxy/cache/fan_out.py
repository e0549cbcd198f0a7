"""The client of a shared call: one answer written once, read by many at their own pace.

The answer is a log. While all of it is being recorded for the cache it is held anyway, so a
follower can come late, and be as slow as it likes, at no price. Once it is too long for the
cache, what every follower has had is dropped, no follower can join, and the writer waits for a
follower that is `WINDOW` behind: as TCP does for a single caller.
"""

from __future__ import annotations

import math
from typing import Final

import trio

from ...core.cache.answers import AnswerRecording, about_body
from ...core.dialects.base import Dialect
from ...core.records.record import Record
from ...errors import GatewayError
from ..protocols import HeaderPairs

# As much as `proxy/attempts/relay.py` holds for a caller who reads slowly.
WINDOW: Final = 256 * 1024
# What a follower that is behind gets at once.
AT_ONCE: Final = 64 * 1024
_OK: Final = 200


class Follower:
    """One reader's place in the log. `scope` is cancelled when it is `dropped` as too slow."""

    __slots__ = ("comments", "dropped", "held_up", "index", "scope", "taken")

    def __init__(self, scope: trio.CancelScope) -> None:
        self.scope = scope
        self.index = 0
        self.taken = 0  # bytes
        self.comments = 0
        # For how many seconds the others have waited for this one.
        self.held_up = 0.0
        self.dropped = False

    def __repr__(self) -> str:
        return f"<Follower at {self.taken}{', dropped' if self.dropped else ''}>"


class FanOutClient:
    """What a shared call answers to; a `Client` in every respect that the pipeline knows.

    dialect          that of all its followers
    status, headers  the head, once it has been written
    body             of an answer of known length
    refusal          the error instead of an answer
    whole            the answer's last byte is in the log
    ended           the call's record, once it is over, whatever came of it
    """

    def __init__(self, recording: AnswerRecording, dialect: Dialect, send_timeout: float) -> None:
        self.dialect: Final = dialect
        self.status: int | None = None
        self.headers: HeaderPairs = ()
        self.began = math.inf
        self.body: bytes | None = None
        self.refusal: GatewayError | None = None
        self.whole = False
        self.ended: Record | None = None
        self._recording = recording
        self._send_timeout = send_timeout
        self._log: list[bytes] = []
        self._first = 0  # index of what the log now begins with
        self._written = 0  # bytes
        self._comments = 0
        self._followers: set[Follower] = set()
        self._deserted = trio.Event()
        # Parking lots rather than events: there is one piece of news for every write.
        self._news = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()

    def __repr__(self) -> str:
        state = "ended" if self.ended else "whole" if self.whole else self.status or "waiting"
        return f"<FanOutClient {state}, {len(self._followers)} followers>"

    @property
    def open(self) -> bool:
        """Say whether a new follower would get all of the answer."""
        over = self.whole or self.refusal or self.ended or self._deserted.is_set()
        return self._recording.going and not over

    # What the pipeline calls...

    @property
    def sealed(self) -> bool:
        return self.whole

    async def read_body(self, limit: int, seconds: float) -> bytes:
        raise RuntimeError("the first caller of a shared call has read the body")

    async def wait_gone(self) -> None:
        """Return when the last follower has left before the answer was whole."""
        await self._deserted.wait()
        if self.whole:
            await trio.sleep_forever()

    async def begin(self, status: int, headers: HeaderPairs) -> None:
        await trio.lowlevel.checkpoint()
        self._begin(status, headers)
        self._news.unpark_all()

    async def send(self, data: bytes) -> None:
        """Write a piece; cancelled before, or not at all."""
        await trio.lowlevel.checkpoint()
        await self._wait_for_room()
        self._write(data)
        self._news.unpark_all()

    async def keep_alive(self, data: bytes) -> None:
        """Have it sent to the followers that wait now: in the log it would come too late."""
        await trio.lowlevel.checkpoint()
        self._comments += 1
        self._news.unpark_all()

    async def finish(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        await self._wait_for_room()
        self._write(data)
        self._complete(stream=True)

    async def reply(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self._begin(status, headers)
        self._recording.add(body)
        self.body = body
        self._complete(stream=False)

    async def refuse(self, error: GatewayError) -> None:
        await trio.lowlevel.checkpoint()
        self.status, self.refusal = error.status, error
        self._recording.drop()

    def end(self, record: Record) -> None:
        """Say that the call is over; what was not finished now never will be."""
        self.ended = record
        self._recording.drop()
        self._news.unpark_all()

    # What followers call...

    def subscribe(self, follower: Follower) -> None:
        follower.comments = self._comments
        self._followers.add(follower)

    def unsubscribe(self, follower: Follower) -> None:
        """Let `follower` go. Idempotent."""
        self._followers.discard(follower)
        self._trim()
        if not self._followers:
            self._deserted.set()

    async def news(self) -> None:
        """Return when something has changed."""
        await self._news.park()

    def take(self, follower: Follower) -> bytes:
        """Return what `follower` has not had yet, up to 64 KiB or one larger piece."""
        at = follower.index - self._first
        end, size = at, 0
        while end < len(self._log) and (end == at or size + len(self._log[end]) <= AT_ONCE):
            size += len(self._log[end])
            end += 1
        if end == at:
            return b""
        data = self._log[at] if end == at + 1 else b"".join(self._log[at:end])
        follower.index += end - at
        follower.taken += size
        self._trim()
        return data

    def has_all(self, follower: Follower) -> bool:
        """Say whether `follower` has taken what there will ever be."""
        return self.whole and follower.taken == self._written

    def take_keep_alive(self, follower: Follower) -> bool:
        """Say whether to send a keep-alive to `follower`, which has nothing else to get."""
        if follower.comments == self._comments:
            return False
        follower.comments = self._comments
        return True

    # The log...

    def _begin(self, status: int, headers: HeaderPairs) -> None:
        self.status, self.headers, self.began = status, headers, trio.current_time()
        if status != _OK:
            self._recording.drop()

    def _write(self, data: bytes) -> None:
        self._recording.add(data)
        self._log.append(data)
        self._written += len(data)

    def _complete(self, *, stream: bool) -> None:
        """Mark the end. No await from the last write to here: whole is whole."""
        self.whole = True
        now = trio.current_time()
        self._recording.keep(_OK, about_body(self.headers), now, stream=stream)
        self._news.unpark_all()

    def _trim(self) -> None:
        if self._recording.going:
            return
        needed = min((each.index for each in self._followers), default=self._first)
        del self._log[: needed - self._first]
        self._first = needed
        self._room.unpark_all()

    async def _wait_for_room(self) -> None:
        while late := self._late():
            # Where all are equally late, none holds up another.
            others = len(late) < len(self._followers)
            patience = math.inf
            if others:
                patience = self._send_timeout - max(each.held_up for each in late)
            since = trio.current_time()
            with trio.CancelScope(deadline=since + patience):
                await self._room.park()
            if others:
                self._charge(late, trio.current_time() - since)

    def _late(self) -> list[Follower]:
        if self._recording.going:
            return []
        return [each for each in self._followers if self._written - each.taken > WINDOW]

    def _charge(self, late: list[Follower], seconds: float) -> None:
        """Note for how long the others were held up, and drop those that have used up their time.

        A follower that takes nothing is dropped by its own `send_timeout`. This is for the one
        that takes just enough, for ever.
        """
        for follower in late:
            follower.held_up += seconds
            if follower.held_up >= self._send_timeout:
                follower.dropped = True
                follower.scope.cancel("too slow for the others")
                self.unsubscribe(follower)
