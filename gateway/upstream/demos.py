"""The demo servers that the configuration asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import trio

from ..config.schema import Provider
from .demo import serve_demo

# How many that no configuration names any more go on for the requests that began with one:
# nothing tells when the last of these is over, and one costs a listening socket.
KEPT: Final = 8

_Key = tuple[str, float]


class DemoServers:
    """Runs them in `nursery`. They are told apart by name and token interval."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._ports: dict[_Key, int] = {}
        self._scopes: dict[_Key, trio.CancelScope] = {}

    def __repr__(self) -> str:
        return f"<DemoServers {self._ports}>"

    def port(self, name: str, provider: Provider) -> int:
        """Return the port of the one that was started for the provider `name`."""
        return self._ports[name, provider.token_interval]

    async def start(self, providers: Mapping[str, Provider]) -> None:
        """Start those of `providers` that do not run yet."""
        for key in _keys(providers):
            if key in self._ports:
                # Of those that will be gone, the ones used last are kept.
                self._ports[key] = self._ports.pop(key)
            else:
                self._ports[key] = await self._nursery.start(self._run, key)

    def stop_old(self, providers: Mapping[str, Provider]) -> None:
        """Stop all but those of `providers` and the last `KEPT` of the others."""
        old = [key for key in self._ports if key not in _keys(providers)]
        for key in old[:-KEPT]:
            del self._ports[key]
            self._scopes.pop(key).cancel("the provider is gone")

    async def _run(self, key: _Key, task_status: trio.TaskStatus[int]) -> None:
        with trio.CancelScope() as scope:
            self._scopes[key] = scope
            await serve_demo(token_interval=key[1], task_status=task_status)


def _keys(providers: Mapping[str, Provider]) -> dict[_Key, None]:
    return {
        (name, provider.token_interval): None
        for name, provider in providers.items()
        if provider.kind == "demo"
    }
