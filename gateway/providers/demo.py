"""The built-in demo provider: an OpenAI-compatible server that the gateway starts itself.

It listens on loopback and is called like any other provider, over TCP and through the same
transport, so that what works with it works.
"""

from __future__ import annotations

import msgspec

from ..config.schema import Provider


def located(provider: Provider, port: int) -> Provider:
    """Return the demo provider whose server listens on `port` as what `openai` describes."""
    return msgspec.structs.replace(provider, base_url=f"http://127.0.0.1:{port}/v1")
