"""The debug log's decision, and one request with its answer while both are collected.

    policy.selects(...)   once the caller and the model are known
    capture.head, .add    what goes to the caller, as it goes
    policy.keeps(...)     at the end: those that only errors are kept of may have none

Memory is bounded twice: each capture by the policy's `max_bytes`, beyond which the rest is only
counted, and all of them together by a `MemoryBudget`: a capture that finds no room is given up.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from ..records.record import WELL, EndReason, Record
from .json_path import JsonPath

# Here a caller that left counts as well: why it did may be seen in what it had got till then.
_WHOLE: Final = WELL - {EndReason.CLIENT_GONE}
# Where a piece ends and when it was written.
PIECE_BYTES: Final = 16

HeaderPairs = Sequence[tuple[bytes, bytes]]


class CapturePolicy(msgspec.Struct, frozen=True):
    """Which requests are kept; all of them, if there is nothing to choose them by.

    `beginnings` are of models' names. `max_bytes` is for a request and its answer together.
    """

    tokens: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    beginnings: tuple[str, ...] = ()
    sample: float = 0.0
    errors_only: bool = False
    max_bytes: int = 4 * 1024 * 1024
    paths: tuple[JsonPath, ...] = ()

    def selects(self, token: str | None, model: str, rng: Callable[[], float]) -> bool:
        """Say whether to collect a request; `rng` is asked only if chance decides."""
        if token in self.tokens or model in self.models or model.startswith(self.beginnings):
            return True
        if self.sample:
            return rng() < self.sample
        return not (self.tokens or self.models or self.beginnings)

    def keeps(self, status: int, reason: EndReason) -> bool:
        """Say whether to keep what was collected, now that its end is known."""
        return not self.errors_only or status >= 400 or reason not in _WHOLE


class MemoryBudget:
    """What all captures together may take, in bytes."""

    __slots__ = ("limit", "taken")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    def __repr__(self) -> str:
        return f"<MemoryBudget {self.taken} of {self.limit} bytes>"

    def reserve(self, size: int) -> bool:
        """Take `size` bytes, or none if there are not as many, and say which."""
        if self.taken + size > self.limit:
            return False
        self.taken += size
        return True

    def release(self, size: int) -> None:
        self.taken -= size


class CapturedRequest(msgspec.Struct, frozen=True):
    """What came in. `arrived` is on the clock that the answer's times are on, in seconds.

    `secrets` are to be taken out wherever they stand: the caller's key, for one. `marks` are
    what events of its dialect may hold that is no JSON, and is the same in every stream.
    `passed_on` says that the body went by and was held nowhere.
    """

    request_id: str
    time: float
    token: str | None
    model: str | None
    method: str
    target: str
    headers: HeaderPairs
    body: bytes
    arrived: float
    secrets: tuple[bytes, ...] = ()
    marks: frozenset[bytes] = frozenset()
    passed_on: bool = False


class Capture:
    """One request and what was written to its caller.

    The request has as much of its body as is kept; `body_size` is what it came with. `given_up`
    says that there was no room: then neither body nor answer is held any more. `lost` counts the
    answer's bytes beyond the bound.
    """

    __slots__ = (
        *("answer", "answer_at", "answer_headers", "body_size", "given_up", "lost"),
        *("policy", "record", "request", "status", "stream"),
        *("_ends", "_left", "_room", "_taken", "_times"),
    )

    def __init__(self, request: CapturedRequest, policy: CapturePolicy, room: MemoryBudget) -> None:
        self.request = request
        self.policy = policy
        self.body_size = len(request.body)
        self.status: int | None = None
        self.answer = bytearray()
        self.answer_at = 0.0
        self.answer_headers: HeaderPairs = ()
        self.stream = False
        self.lost = 0
        self.given_up = False
        self.record: Record | None = None
        self._room = room
        self._taken = 0
        # Two numbers a piece, not two objects: a long stream has 10^5 of them.
        self._ends = array("Q")
        self._times = array("d")
        self._left = policy.max_bytes
        if self.body_size > self._left:
            # What is not counted must not be held.
            self._keep_body(self._left)
        # Its headers have no bound here: the server's own is some ten KiB.
        self._take(len(self.request.body) + _size(request.headers))

    def __repr__(self) -> str:
        held = "given up" if self.given_up else f"{len(self.request.body)}+{len(self.answer)} bytes"
        return f"<Capture {self.request.request_id} {held}>"

    @property
    def body_cut(self) -> bool:
        return self.request.passed_on or len(self.request.body) < self.body_size

    @property
    def answered_at(self) -> float:
        """Return when the last of what was kept of the answer was written."""
        return self._times[-1] if self._times else self.answer_at

    def head(self, status: int, headers: HeaderPairs, at: float, *, stream: bool) -> None:
        """Note the answer's head."""
        self.status, self.answer_at, self.stream = status, at, stream
        self.answer_headers = tuple(headers)
        self._take(_size(headers))

    def add(self, data: bytes, at: float) -> None:
        """Note a piece of the answer."""
        size = len(data)
        if not size or self.given_up:
            return
        kept = min(size, max(0, self._left - PIECE_BYTES))
        if kept < size:
            self.lost += size - kept
            data = data[:kept]
        if kept and self._take(kept + PIECE_BYTES):
            self.answer += data
            self._ends.append(len(self.answer))
            self._times.append(at)
        if self.lost:
            # What follows a gap would be taken for what follows directly.
            self._left = 0

    def pieces(self) -> Iterator[tuple[float, bytes]]:
        """Yield what was added and when."""
        start = 0
        for end, at in zip(self._ends, self._times, strict=True):
            yield at, bytes(self.answer[start:end])
            start = end

    def release(self) -> None:
        """Give the room back; nothing may be added any more. Idempotent."""
        self._room.release(self._taken)
        self._taken = 0
        self._left = 0

    def _keep_body(self, size: int) -> None:
        self.request = msgspec.structs.replace(self.request, body=self.request.body[:size])

    def _take(self, size: int) -> bool:
        if self.given_up:
            return False
        if self._room.reserve(size):
            self._taken += size
            self._left -= size
            return True
        self.given_up = True
        self.release()
        self._keep_body(0)
        self.answer = bytearray()
        del self._ends[:], self._times[:]
        return False


def _size(headers: HeaderPairs) -> int:
    return sum([len(name) + len(value) for name, value in headers])
