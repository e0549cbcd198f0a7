from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from gateway.core.state_server import StateServer
from gateway.group.host_store import HostLimitStore
from gateway.group.limit_host import LimitHost
from gateway.state.redis.limit_store import RedisLimitStore
from gateway.state.shared.limits import SharedLimits
from gateway.state.shared.store import LimitStore

from ...valkey import ValkeyServer

# Patience for a loaded machine: what a time-out does is tested where time-outs are.
TIMEOUT = 2.0


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.005)


async def told(limits: SharedLimits) -> None:
    """Wait until the store has been told of all that has ended."""
    await until(lambda: not len(limits._queue))


class SharedPlace:
    """Where limits are shared; each `process` stands for one of those that share them."""

    def __init__(self, kind: str, store: Callable[[], LimitStore]) -> None:
        self.kind = kind
        self.store = store

    @asynccontextmanager
    async def process(
        self, processes: int = 1, timeout: float = TIMEOUT
    ) -> AsyncIterator[SharedLimits]:
        limits = SharedLimits(self.store(), random.random, processes=processes, timeout=timeout)
        async with trio.open_nursery() as nursery:
            await nursery.start(limits.run)
            yield limits
            await limits.finish()
            nursery.cancel_scope.cancel()


@pytest.fixture(params=["valkey", "host"])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, nursery: trio.Nursery
) -> SharedPlace:
    if request.param == "valkey":
        server: ValkeyServer = request.getfixturevalue("valkey")
        settings = StateServer(url=server.url)
        return SharedPlace("valkey", lambda: RedisLimitStore(settings))
    host = LimitHost(tmp_path / "limits.sock")
    await nursery.start(host.run)
    return SharedPlace("host", lambda: HostLimitStore(tmp_path / "limits.sock"))
