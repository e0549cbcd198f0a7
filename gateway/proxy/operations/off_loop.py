"""Work on large bodies, beside the event loop: others want to go on meanwhile.

To read a body takes up to 50 ms a megabyte. The interpreter lets other threads run every few
milliseconds, and what it does in C for a whole body takes 10 ms at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import trio

T = TypeVar("T")

# Bytes; a thread costs 0.2 ms.
LARGE: Final = 1024 * 1024
# More at once would only take the processor from each other, and from the loop.
_LIMITER: Final = trio.CapacityLimiter(2)


async def beside(size: int, work: Callable[[], T]) -> T:
    """Return what `work` on a body of `size` bytes does, which raises what it does."""
    if size <= LARGE:
        return work()
    return await trio.to_thread.run_sync(work, limiter=_LIMITER)
