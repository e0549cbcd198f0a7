"""httpx over our transport: the HTTP client of everything that no caller waits for.

Health checks and access tokens use it. What a caller waits for goes to `Transport` directly.
"""

from __future__ import annotations

from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from .httpx_adapter import HttpxTransport
from .response import Response
from .transport import Transport


def http_client(transport: Transport) -> httpx.AsyncClient:
    """Return a client whose connections are `transport`'s; closing it closes none of them.

    Environment variables change nothing: a proxy there is not one that the configuration names.
    Cookies are not kept. A request's extension `origin`, an `Origin`, says whose pool and
    certificates it uses.
    """
    # Kept cookies would go from one provider to another, and to a token endpoint: they are a
    # host's, whatever its port.
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    return httpx.AsyncClient(
        transport=HttpxTransport(transport),
        cookies=no_cookies,
        trust_env=False,
        follow_redirects=False,
    )


async def read_some(response: httpx.Response, limit: int) -> bytes:
    """Return the body of a streamed response, or about the first `limit` bytes of it.

    Not by `aiter_raw`: httpx leaves its generators open when a body is not read to its end.
    Raises UpstreamFailure.
    """
    body: Response = response.extensions["transport_response"]
    found = bytearray()
    while len(found) <= limit and (data := await body.receive_some()):
        found += data
    return bytes(found)
