"""A call whose body may still be on its way: sent, until the head of its answer has come."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import trio

from ...core.routing.call import BodySource, Call
from ...stops import stops
from ...transport_errors import ConnectionLost
from ..protocols import Upstream, UpstreamResponse

T = TypeVar("T")


class Uploader(Upstream, Protocol):
    """Makes calls to providers, also such whose body is still on its way."""

    async def upload(
        self, call: Call, body: BodySource, *, upload_nursery: trio.Nursery
    ) -> UpstreamResponse:
        """Send `call` with `body`, and return its answer once the head has arrived.

        `body` goes on being sent in `upload_nursery` if that is before its end. Raises
        `UpstreamFailure`, and what `body` raises.
        """
        ...


class MeteredBody:
    """A `BodySource` that knows since when the provider has taken nothing of it.

    `moved` is when it took something last, in Trio's time, or when it began to be sent.
    """

    def __init__(self, body: BodySource) -> None:
        self.moved = trio.current_time()
        self.waiting = True  # for the caller
        self.ended = False
        self._body = body

    @property
    def length(self) -> int | None:
        return self._body.length

    async def receive_some(self) -> bytes:
        # What was given before has been taken, or there would be nobody to ask for more.
        self.waiting = True
        piece = await self._body.receive_some()
        self.waiting, self.moved, self.ended = False, trio.current_time(), not piece
        return piece

    def move(self, seconds: float) -> None:
        self.moved += seconds

    async def until_stuck(self, idle: float) -> None:
        """Return when the provider has taken nothing for `idle` seconds; never once it has all."""
        stopped = stops()
        stopped.add(self)
        try:
            while not self.ended:
                now = trio.current_time()
                since = now if self.waiting else self.moved
                if now >= since + idle:
                    return
                await trio.sleep_until(since + idle)
        finally:
            stopped.discard(self)
        await trio.sleep_forever()


async def upload(
    upstream: Uploader, call: Call, body: BodySource, idle: float, upload_nursery: trio.Nursery
) -> UpstreamResponse:
    """Send `call` with `body`; return its answer once the head has come.

    Raises UpstreamFailure, `ConnectionLost` also where the provider takes nothing for `idle`
    seconds, and what `body` raises.
    """
    metered = MeteredBody(body)
    stuck = trio.CancelScope()

    async def watch() -> None:
        await metered.until_stuck(idle or math.inf)
        stuck.cancel("the provider takes nothing")

    watching = trio.CancelScope()

    async def watch_until_answered() -> None:
        with watching:
            await watch()

    upload_nursery.start_soon(watch_until_answered)
    with stuck:
        response = await upstream.upload(call, metered, upload_nursery=upload_nursery)
        watching.cancel("answered")
        return response
    raise ConnectionLost(f"the provider took nothing of the body for {idle:g} s")


async def with_upload_nursery(work: Callable[[trio.Nursery], Awaitable[T]]) -> T:
    """Return what `work` does; whatever is still being sent then is given up."""
    error: Exception | None = None
    done: list[T] = []
    async with trio.open_nursery() as upload_nursery:
        try:
            done.append(await work(upload_nursery))
        except Exception as exc:  # noqa: BLE001  # exception groups stop here
            error = exc
        upload_nursery.cancel_scope.cancel("answered")
    try:
        if error is not None:
            raise error
    finally:
        error = None
    return done[0]
