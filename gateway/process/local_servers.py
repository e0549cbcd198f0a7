"""The providers' servers that the gateway runs itself: those of kinds with a `serve`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import trio

from ..providers.kind import Serve
from ..providers.registry import KINDS
from ..providers.settings import Provider

# How many that no configuration names any more go on for the requests that began with one:
# nothing tells when the last of these is over, and one costs a listening socket.
KEPT: Final = 8

# A server is told apart by the provider's name and by what its settings say of the server.
_Key = tuple[str, bytes]


class LocalServers:
    """Runs them in `nursery`."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._addresses: dict[_Key, str] = {}
        self._scopes: dict[_Key, trio.CancelScope] = {}

    def __repr__(self) -> str:
        return f"<LocalServers {[*self._addresses.values()]}>"

    def address(self, name: str, provider: Provider) -> str | None:
        """Return the base URL of the one that was started for the provider `name`."""
        return self._addresses.get(_key(name, provider))

    async def start(self, providers: Mapping[str, Provider]) -> None:
        """Start those of `providers` that do not run yet."""
        for key, serve in _wanted(providers).items():
            if key in self._addresses:
                # Of those that will be gone, the ones used last are kept.
                self._addresses[key] = self._addresses.pop(key)
            else:
                self._addresses[key] = await self._nursery.start(self._run, key, serve)

    def stop_old(self, providers: Mapping[str, Provider]) -> None:
        """Stop all but those of `providers` and the last `KEPT` of the others."""
        wanted = _wanted(providers)
        old = [key for key in self._addresses if key not in wanted]
        for key in old[:-KEPT]:
            del self._addresses[key]
            self._scopes.pop(key).cancel("the provider is gone")

    async def _run(self, key: _Key, serve: Serve, task_status: trio.TaskStatus[str]) -> None:
        with trio.CancelScope() as scope:
            self._scopes[key] = scope
            await serve(task_status.started)


def _key(name: str, provider: Provider) -> _Key:
    # What only concerns the calls is no reason for another server.
    own = set(type(provider).__struct_fields__) - set(Provider.__struct_fields__)
    settings = {field: getattr(provider, field) for field in sorted(own)}
    return name, msgspec.json.encode([provider.kind, settings])


def _wanted(providers: Mapping[str, Provider]) -> dict[_Key, Serve]:
    return {
        _key(name, provider): serve
        for name, provider in providers.items()
        if (serve := KINDS[provider.kind].serve(provider)) is not None
    }
