"""httpx over our transport: the HTTP client of everything that no caller waits for.

Health checks and access tokens use it. What a caller waits for goes to `Transport` directly.
"""

from __future__ import annotations

import httpx

from .httpx_adapter import HttpxTransport
from .transport import Transport


def http_client(transport: Transport) -> httpx.AsyncClient:
    """Return a client whose connections are `transport`'s; closing it closes none of them.

    Environment variables change nothing: a proxy there is not one that the configuration names.
    A request's extension `origin`, an `Origin`, says whose pool and certificates it uses.
    """
    return httpx.AsyncClient(
        transport=HttpxTransport(transport), trust_env=False, follow_redirects=False
    )
