"""The shared calls under way in one process, and the nursery that they run in.

"Flight" is the word of Go's `singleflight`: one call, and all who wait for its answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from .fan_out import FanOutClient


class Flights:
    """The clients of shared calls by cache key. `run` must be running for calls to start."""

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None
        self._clients: dict[bytes, FanOutClient] = {}

    def __repr__(self) -> str:
        return f"<Flights {len(self)} under way>"

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def running(self) -> bool:
        """Say whether calls can start."""
        return self._nursery is not None

    def get(self, key: bytes) -> FanOutClient | None:
        """Return the client of the call that is under way for `key`."""
        return self._clients.get(key)

    def start(self, key: bytes, client: FanOutClient, call: Callable[[], Awaitable[None]]) -> None:
        """Run `call`, which answers to `client`, in a task of its own; only while `running`."""
        assert self._nursery is not None
        self._clients[key] = client
        self._nursery.start_soon(self._fly, key, client, call)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Let calls run, for ever; to be cancelled when the requests have ended."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    async def _fly(
        self, key: bytes, client: FanOutClient, call: Callable[[], Awaitable[None]]
    ) -> None:
        try:
            await call()
        finally:
            if self._clients.get(key) is client:
                del self._clients[key]
