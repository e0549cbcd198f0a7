"""Work on large bodies, beside the event loop: others want to go on meanwhile.

To read a body takes up to 50 ms a megabyte. The interpreter lets other threads run every few
milliseconds, and what it does in C for a whole body takes 10 ms at most.

There are two threads for it, and a caller has one of them at a time: whoever sends many large
bodies waits for itself, and the callers beside it take turns.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import trio

from ..exchange import Exchange

T = TypeVar("T")

# Bytes; a thread costs 0.2 ms.
LARGE: Final = 1024 * 1024
# Objects, each of which may be one to translate: 10 us.
MANY: Final = 2000
# Bytes that so many objects need at least.
_SHORT: Final = 2 * MANY
# Items and members of any kind, of which a list of texts has as many as it has commas: 2 us. There
# are commas in prose as well, one for each fifty letters of it.
MANY_SMALL: Final = 10_000
# More at once would only take the processor from each other, and from the loop. Whoever waits is
# served in the order of coming.
_LIMITER: Final = trio.CapacityLimiter(2)


class _Line:
    """The large bodies of one caller."""

    def __init__(self) -> None:
        self.turn: Final = trio.Lock()
        self.length = 0


_LINES: Final[dict[str, _Line]] = {}


async def beside(exchange: Exchange, size: int, work: Callable[[], T]) -> T:
    """Return what `work` on a body of `size` bytes does, which raises what it does."""
    if size <= LARGE:
        return work()
    async with _turn(_caller(exchange)):
        return await trio.to_thread.run_sync(work, limiter=_LIMITER)


async def beside_if_long(exchange: Exchange, body: bytes, work: Callable[[], T]) -> T:
    """Return what `work` does, which takes `body` apart: each message, part and tool in it."""
    # Those of an ordinary size are not looked through, for all of them pay for that.
    if (
        len(body) > LARGE
        or (len(body) > _SHORT and body.count(b"{") > MANY)
        or (len(body) > MANY_SMALL and body.count(b",") > MANY_SMALL)
    ):
        return await beside(exchange, LARGE + 1, work)
    return work()


def _caller(exchange: Exchange) -> str:
    # Without tokens all are one caller, but for their addresses.
    return exchange.record.client or "" if exchange.snapshot.open else exchange.caller.name


@asynccontextmanager
async def _turn(caller: str) -> AsyncIterator[None]:
    line = _LINES.setdefault(caller, _Line())
    line.length += 1
    try:
        async with line.turn:
            yield
    finally:
        line.length -= 1
        if not line.length:
            del _LINES[caller]
