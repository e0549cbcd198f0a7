"""The built-in demo provider: a server of four APIs that the gateway starts itself.

It listens on loopback and is called like any other provider, over TCP and through the same
transport, so that what works with it works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, Literal

import msgspec

from ...core.dialects.base import Dialect, ReasoningForm
from ...core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from ...core.routing.deployment import Deployment
from ...core.routing.timeouts import Seconds
from ..kind import Place, ProviderKind, RouteTerms, Serve
from ..openai_compatible import RESPONSES, OpenAICompatible
from ..settings import Provider
from .anthropic import KIND as MESSAGES
from .gemini import KIND as GEMINI

# What it speaks by the rules of another kind, and how that is asked to think.
_OTHERS: Final[dict[str, tuple[ProviderKind, ReasoningForm]]] = {
    "messages": (MESSAGES, "adaptive"),
    "gemini": (GEMINI, "effort"),
}


class DemoProvider(Provider, frozen=True):
    """`token_interval` is the seconds between two tokens, `speaks` the API that it is asked in."""

    token_interval: Seconds = 0.02
    speaks: Literal["chat", "messages", "responses", "gemini"] = "chat"


class Demo(OpenAICompatible):
    name = "demo"
    settings = DemoProvider

    def problems(self, provider: Provider) -> Iterator[tuple[str, str]]:
        if provider.base_url is not None:
            yield "base_url", "the demo provider is built in; remove base_url"

    def notes(self, provider: Provider) -> Iterator[tuple[str, str]]:
        if provider.api_key or provider.api_keys:
            yield "api_key", "the demo provider has no use for a key"

    def spoken(self, provider: Provider, terms: RouteTerms) -> Dialect:
        assert isinstance(provider, DemoProvider)
        return OPENAI_RESPONSES if provider.speaks == "responses" else self.dialect

    def operations(self, provider: Provider, terms: RouteTerms) -> tuple[Dialect, ...]:
        return self.beside + RESPONSES

    def serve(self, provider: Provider) -> Serve:
        assert isinstance(provider, DemoProvider)
        path = "" if provider.speaks in _OTHERS else "/v1"
        return partial(_serve, provider.token_interval, path)

    def describe(
        self, name: str, provider: Provider, place: Place, terms: RouteTerms
    ) -> Deployment:
        assert isinstance(provider, DemoProvider)
        if (other := _OTHERS.get(provider.speaks)) is not None:
            kind, reasoning = other
            found = kind.describe(name, provider, place, terms)
            return msgspec.structs.replace(found, reasoning=terms.reasoning or reasoning)
        found = super().describe(name, provider, place, terms)
        return msgspec.structs.replace(found, reasoning=terms.reasoning or "effort")


async def _serve(token_interval: float, path: str, listening: Callable[[str], None]) -> None:
    # Imported late: a gateway without a demo provider needs none of it.
    from ...demo.server import serve_demo

    await serve_demo(
        token_interval=token_interval,
        listening=lambda port: listening(f"http://127.0.0.1:{port}{path}"),
    )


KIND: Final[ProviderKind] = Demo()
