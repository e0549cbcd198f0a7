"""Frames, however the pipe cuts them."""

from __future__ import annotations

from random import Random

from gateway.dashboard.page_process.wire import CANCEL, DONE, READ, TaskFrame, frames, packed

SENT = [
    TaskFrame(1, READ, b"x" * 300_000),
    TaskFrame(2**63, CANCEL),
    TaskFrame(3, DONE, b"\n\0"),
    TaskFrame(0, READ),
]


class Cut:
    """A pipe that hands out as much as it likes."""

    def __init__(self, data: bytes, rng: Random) -> None:
        self._data = data
        self._rng = rng

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        size = self._rng.choice((1, 7, 13, 5_000, 200_000))
        got, self._data = self._data[:size], self._data[size:]
        return got


async def test_any_chunking_gives_the_same_and_half_a_frame_is_none() -> None:
    whole = b"".join(map(packed, SENT))
    for seed in range(20):
        assert [each async for each in frames(Cut(whole, Random(seed)))] == SENT
        cut = Cut(whole[:-1], Random(seed))
        assert [each async for each in frames(cut)] == SENT[:-1]
