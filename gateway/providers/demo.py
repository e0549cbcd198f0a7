"""The built-in demo provider: an OpenAI-compatible server that the gateway starts itself.

It listens on loopback and is called like any other provider, over TCP and through the same
transport, so that what works with it works.
"""

from __future__ import annotations

import msgspec

from ..config.schema import Provider, Route
from ..core.routing.deployment import Deployment
from ..core.timeouts import Timeouts
from . import openai


def describe(
    name: str, provider: Provider, route: Route, timeouts: Timeouts, user_agent: bytes, port: int
) -> Deployment:
    """Describe calls to the demo server that listens on `port`."""
    located = msgspec.structs.replace(provider, base_url=f"http://127.0.0.1:{port}/v1")
    return openai.describe(name, located, route, timeouts, user_agent)
