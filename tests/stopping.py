"""A process that is stopped for a while, in virtual time."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import trio
from trio.testing import MockClock

from gateway.stops import Stops, stops


def stop(clock: MockClock, seconds: float) -> None:
    """Have been stopped for `seconds`, as the event loop finds it after SIGCONT."""
    stops().note(seconds)
    clock.jump(seconds)


@contextlib.asynccontextmanager
async def stopped_at(clock: MockClock, at: float, seconds: float) -> AsyncIterator[None]:
    """Be stopped for `seconds` once, after `at` seconds."""
    async with trio.open_nursery() as nursery:
        await nursery.start(Stops().watch)

        async def wait() -> None:
            await trio.sleep(at)
            stop(clock, seconds)

        nursery.start_soon(wait)
        yield
        nursery.cancel_scope.cancel()
