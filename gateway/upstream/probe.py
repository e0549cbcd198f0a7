"""One active health check: whether a provider answers at all, not what it answers."""

from __future__ import annotations

from typing import Final

import httpx

from ..core.routing.call import Call
from ..stops import running_after
from ..transport_errors import UpstreamFailure
from .http_client import read_some
from .httpx_adapter import BAD_URL

# A list of models has some kilobytes. An answer that is read to its end leaves the connection
# to the next call; for a longer one that is not worth it.
MAX_BODY: Final = 64 * 1024


async def probe(client: httpx.AsyncClient, call: Call, timeout: float) -> bool | None:
    """Make `call` and say whether the provider is alive; None if that remains unknown.

    Any answer below 500 is a sign of life, a refused key as well, unless it breaks off. A 429
    tells of a limit and not of health, and no free connection of our load. All of it has
    `timeout` seconds.
    """
    with running_after(timeout):
        try:
            response = await client.send(_request(call, timeout), stream=True)
            try:
                return await _sign_of_life(response)
            finally:
                await response.aclose()
        except httpx.PoolTimeout:
            return None
        except (httpx.TransportError, UpstreamFailure, *BAD_URL):
            return False
    return False


def _request(call: Call, timeout: float) -> httpx.Request:
    """Return `call` as it is: no header more, and its target as it stands."""
    origin = call.origin
    # Half of the time for a connection: waiting for one must not look like a silent provider.
    limits = httpx.Timeout(None, connect=call.connect_timeout or None, pool=timeout / 2)
    return httpx.Request(
        call.method.decode("ascii"),
        httpx.URL(scheme=origin.scheme, host=origin.host, port=origin.port, path="/"),
        headers=list(call.headers),
        extensions={"origin": origin, "target": call.target, "timeout": limits.as_dict()},
    )


async def _sign_of_life(response: httpx.Response) -> bool | None:
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return None
    if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        return False
    await read_some(response, MAX_BODY)
    return True
