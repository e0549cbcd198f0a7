"""Clients of httpx that cost little to make: tests make one for each request."""

from __future__ import annotations

import functools
import ssl
from typing import Any

import httpx


@functools.cache
def _context() -> ssl.SSLContext:
    """Return a context that trusts nobody; httpx would read all of certifi's for each client."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def http_client(**options: Any) -> httpx.AsyncClient:
    """Return a client for plain HTTP on this machine, whatever proxies the environment names."""
    return httpx.AsyncClient(trust_env=False, verify=_context(), **options)


def sdk_client(sdk: Any) -> Any:
    """Return what an SDK may be given as its `http_client`, in place of one that costs more."""
    return sdk.DefaultHttpxClient(verify=_context())
