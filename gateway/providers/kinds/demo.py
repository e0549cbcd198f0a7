"""The built-in demo provider: an OpenAI-compatible server that the gateway starts itself.

It listens on loopback and is called like any other provider, over TCP and through the same
transport, so that what works with it works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from ...core.dialects.base import Dialect
from ...core.routing.timeouts import Seconds
from ..kind import ProviderKind, RouteTerms, Serve
from ..openai_compatible import RESPONSES, OpenAICompatible
from ..settings import Provider


class DemoProvider(Provider, frozen=True):
    """`token_interval` is the seconds between two tokens."""

    token_interval: Seconds = 0.02


class Demo(OpenAICompatible):
    name = "demo"
    settings = DemoProvider

    def problems(self, provider: Provider) -> Iterator[tuple[str, str]]:
        if provider.base_url is not None:
            yield "base_url", "the demo provider is built in; remove base_url"

    def notes(self, provider: Provider) -> Iterator[tuple[str, str]]:
        if provider.api_key or provider.api_keys:
            yield "api_key", "the demo provider has no use for a key"

    def operations(self, provider: Provider, terms: RouteTerms) -> tuple[Dialect, ...]:
        return self.beside + RESPONSES

    def serve(self, provider: Provider) -> Serve:
        assert isinstance(provider, DemoProvider)
        return partial(_serve, provider.token_interval)


async def _serve(token_interval: float, listening: Callable[[str], None]) -> None:
    # Imported late: a gateway without a demo provider needs none of it.
    from ...demo.server import serve_demo

    await serve_demo(
        token_interval=token_interval,
        listening=lambda port: listening(f"http://127.0.0.1:{port}/v1"),
    )


KIND: Final[ProviderKind] = Demo()
