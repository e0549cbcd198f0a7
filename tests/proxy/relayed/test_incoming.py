"""A caller's body and its leaving, told by one `receive()`, in virtual time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from gateway.core.routing.call import BodySource, Call, Origin
from gateway.errors import BodyTimeout, BodyTooLarge, CallerError, ClientGone, InvalidRequest
from gateway.proxy.protocols import UpstreamResponse
from gateway.proxy.relayed.incoming import IncomingBody
from gateway.proxy.relayed.upload import upload, with_upload_nursery
from gateway.transport_errors import ConnectionLost

PIECE = b"x" * 100
LEAVES = "leaves"
# Seconds before, and what comes then.
Step = tuple[float, bytes | str | Exception]


class Sender:
    """A caller that sends by a script; b"" ends the body."""

    def __init__(self, steps: Sequence[Step], length: int | None = None) -> None:
        self.length = length
        self.taken = 0
        self.left_at = math.inf
        self._steps = list(steps)

    async def receive_some(self) -> bytes:
        delay, what = self._steps.pop(0)
        await trio.sleep(delay)
        if isinstance(what, Exception):
            raise what
        if isinstance(what, str):
            raise ClientGone
        self.taken += 1
        return what

    async def wait_gone(self) -> None:
        await trio.sleep_until(self.left_at)


async def read(body: IncomingBody) -> bytes:
    found = b""
    while piece := await body.receive_some():
        found += piece
    return found


async def run(sender: Sender, limit: int = 10_000, idle: float = 5.0) -> bytes:
    """Read all of the body while its caller is watched."""
    body = IncomingBody(sender, limit, idle)
    found = b""
    error: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(body.wait_gone)
        try:
            found = await read(body)
        except (CallerError, ClientGone) as exc:
            error = exc
        nursery.cancel_scope.cancel("read")
    if error is not None:
        raise error
    return found


FAULTS: list[tuple[Sender, type[Exception], float]] = [
    (Sender([(1, PIECE), (9, PIECE)]), BodyTimeout, 6.0),
    (Sender([(1, PIECE), (1, PIECE), (1, PIECE * 100)]), BodyTooLarge, 3.0),
    (Sender([(1, PIECE)], length=10_001), BodyTooLarge, 0.0),
    (Sender([(1, PIECE), (1, LEAVES)]), ClientGone, 2.0),
    (Sender([(1, PIECE), (1, InvalidRequest("malformed"))]), InvalidRequest, 2.0),
]


async def test_a_body_that_does_not_end_well_is_never_taken_for_a_whole_one(
    autojump_clock: MockClock,
) -> None:
    for sender, kind, at in FAULTS:
        began = trio.current_time()
        with pytest.raises(kind):
            await run(sender)
        assert trio.current_time() - began == at


async def test_it_is_read_as_it_comes_and_no_further_ahead_than_a_few_pieces(
    autojump_clock: MockClock,
) -> None:
    assert await run(Sender([(4, PIECE)] * 20 + [(4, b"")])) == PIECE * 20
    sender = Sender([(0, PIECE)] * 50 + [(0, b"")])
    body = IncomingBody(sender, 10_000, 5.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(body.wait_gone)
        await trio.sleep(1)
        # Two wait, and one is in hand.
        assert sender.taken == 3
        assert await body.head(1000) == PIECE * 10
        early = body.whole
        assert not early
        # What was looked at is received all the same.
        assert await read(body) == PIECE * 50
        assert body.whole
        nursery.cancel_scope.cancel("read")


async def test_who_leaves_is_noticed_after_the_body_and_not_once_it_is_answered(
    autojump_clock: MockClock,
) -> None:
    sender = Sender([(0, PIECE), (0, b"")])
    sender.left_at = trio.current_time() + 7
    body = IncomingBody(sender, 1000, 5.0)
    await body.wait_gone()
    assert trio.current_time() == sender.left_at
    body = IncomingBody(Sender([(0, PIECE), (99, LEAVES)]), 1000, math.inf)
    left: list[float] = []

    async def watch() -> None:
        await body.wait_gone()
        left.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await trio.sleep(1)
        await body.stop()
        await trio.sleep(1000)
        nursery.cancel_scope.cancel("stopped")
    assert left == []


class Taking:
    """A provider that takes a piece every `pause` seconds and answers at the end."""

    def __init__(self, pause: float) -> None:
        self.pause = pause
        self.got = b""

    async def request(self, call: Call) -> UpstreamResponse:
        raise AssertionError("the body is sent as it comes in")

    async def upload(
        self, call: Call, body: BodySource, *, upload_nursery: trio.Nursery
    ) -> UpstreamResponse:
        while piece := await body.receive_some():
            self.got += piece
            await trio.sleep(self.pause)
        raise ConnectionLost("answered")


CALL = Call(Origin("http", "h", 80), b"POST", b"/", (), b"")


@pytest.mark.parametrize(
    ("pause", "wait", "message", "at"),
    [
        (1.0, 1.0, "answered", 30.0),
        # The caller is slow, and that is not held against the provider.
        (0.0, 50.0, "answered", 1500.0),
        (11.0, 0.0, "the provider took nothing of the body for 10 s", 10.0),
    ],
)
async def test_a_provider_that_takes_nothing_is_given_up(
    pause: float, wait: float, message: str, at: float, autojump_clock: MockClock
) -> None:
    sender = Sender([(wait, PIECE)] * 29 + [(wait, b"")])
    body = IncomingBody(sender, 10_000, 100.0)
    provider = Taking(pause)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(body.wait_gone)
        with pytest.raises(ConnectionLost, match=message):
            await with_upload_nursery(lambda uploads: upload(provider, CALL, body, 10.0, uploads))
        nursery.cancel_scope.cancel("over")
    assert trio.current_time() - began == at
