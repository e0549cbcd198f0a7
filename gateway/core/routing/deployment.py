"""A deployment: one provider's one model, ready to be called."""

from __future__ import annotations

import msgspec

from ..call import Call, Headers, Origin
from ..pricing import Prices
from ..timeouts import Timeouts


class Deployment(msgspec.Struct, frozen=True):
    """All that a call needs but the body, prepared once when the configuration is loaded.

    `model_json` is the provider's model name as JSON. The two header sets hold the
    provider's credentials and differ in `accept`.
    """

    provider: str
    model: str
    model_json: bytes
    origin: Origin
    target: bytes
    stream_headers: Headers
    plain_headers: Headers
    timeouts: Timeouts
    prices: Prices
    weight: float = 1.0
    stream_usage: bool = True

    @property
    def name(self) -> str:
        """Return the key of everything that is kept per deployment."""
        return f"{self.provider}/{self.model}"

    def call(self, body: bytes, request_id: bytes, *, stream: bool) -> Call:
        headers = self.stream_headers if stream else self.plain_headers
        return Call(
            origin=self.origin,
            method=b"POST",
            target=self.target,
            # OpenAI logs this one for support (platform.openai.com/docs/api-reference,
            # "Supplying your own request ID"); others ignore it.
            headers=(*headers, (b"x-client-request-id", request_id)),
            body=body,
            connect_timeout=self.timeouts.connect,
        )
