"""One active health check: whether a provider answers at all, not what it answers."""

from __future__ import annotations

from typing import Final

import trio

from ..core.routing.call import Call
from ..errors import PoolTimeout, UpstreamFailure
from .transport import Transport

# A list of models has some kilobytes. An answer that is read to its end leaves the connection
# to the next call; for a longer one that is not worth it.
MAX_BODY: Final = 64 * 1024


async def probe(upstream: Transport, call: Call, timeout: float) -> bool | None:
    """Make `call` and say whether the provider is alive; None if that remains unknown.

    Any answer below 500 is a sign of life, a refused key as well, unless it breaks off. A 429
    tells of a limit and not of health, and no free connection of our load. All of it has
    `timeout` seconds.
    """
    # Half of the time for a connection: waiting for one must not look like a silent provider.
    waits = timeout / 2
    with trio.move_on_after(timeout):
        try:
            async with await upstream.request(call, pool_timeout=waits) as response:
                if response.status == 429:
                    return None
                if response.status >= 500:
                    return False
                read = 0
                while read <= MAX_BODY and (data := await response.receive_some()):
                    read += len(data)
                return True
        except PoolTimeout:
            return None
        except UpstreamFailure:
            return False
    return False
