"""What the limits of one request cost, by where they are kept, one request at a time.

Of a key with `rpm`, `tpm`, `max_concurrent` and a budget, beside two limits and `max_concurrent` of
everybody: three scopes. `waits` is the median time for which the request waits; `CPU` is of this
process, for the question, the end, which nobody waits for, and a pause of half a millisecond.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import trio

from gateway.core.limits.budget import Budget
from gateway.core.limits.ledger import Demand, LimitRefusal, Scope, ScopeLimits
from gateway.core.state_server import StateServer
from gateway.proxy.protocols import Limits
from gateway.state.limits import MemoryLimits
from gateway.state.redis.limit_store import RedisLimitStore
from gateway.state.shared.limits import SharedLimits

from ..scale.gateway import state_at, state_server
from ..subjects import free_port

REQUESTS: Final = 1000
_PAUSE: Final = 0.0005
_PLENTY: Final = 100_000_000
_SCOPES: Final = (
    Scope("everybody", ScopeLimits(_PLENTY, _PLENTY)),
    Scope(
        "token:bench",
        ScopeLimits(_PLENTY, _PLENTY, _PLENTY),
        Budget(usd=1_000_000, window="month"),
    ),
    Scope("place", ScopeLimits(max_concurrent=_PLENTY)),
)
_DEMAND: Final = Demand(tokens=500, cost=1_000_000)


def run() -> dict[str, float]:
    """Return microseconds per request."""
    found = {**trio.run(_cost, "in memory", "")}
    found |= trio.run(_cost, "state server away", f"redis://127.0.0.1:{free_port()}")
    program = state_server()
    if program is not None:
        with tempfile.TemporaryDirectory() as name, _urls(program, Path(name)) as urls:
            for what, url in urls.items():
                found |= trio.run(_cost, what, url)
    return found


@contextlib.contextmanager
def _urls(program: str, directory: Path) -> Iterator[dict[str, str]]:
    socket = directory / "socket"
    with state_at(program, directory, "--unixsocket", str(socket)) as url:
        yield {"state server, TCP": url, "state server, Unix socket": f"unix://{socket}"}


async def _cost(what: str, url: str) -> dict[str, float]:
    async with _limits(url) as limits:
        for _ in range(REQUESTS // 10):
            await _request(limits)
        began = time.process_time()
        waits = [await _request(limits) for _ in range(REQUESTS)]
        cpu = (time.process_time() - began) / REQUESTS
    return {f"{what}, waits": statistics.median(waits) * 1e6, f"{what}, CPU": cpu * 1e6}


async def _request(limits: Limits) -> float:
    began = time.perf_counter()
    grant = await limits.admit(_SCOPES, _DEMAND, 120.0)
    waited = time.perf_counter() - began
    assert not isinstance(grant, LimitRefusal)
    await limits.release(grant)
    await limits.settle(grant, 400, 900_000)
    await trio.sleep(_PAUSE)
    return waited


@contextlib.asynccontextmanager
async def _limits(url: str) -> AsyncIterator[Limits]:
    if not url:
        yield MemoryLimits()
        return
    shared = SharedLimits(RedisLimitStore(StateServer(url=url)), random.random)
    async with trio.open_nursery() as nursery:
        await nursery.start(shared.run)
        yield shared
        await shared.finish()
        nursery.cancel_scope.cancel("the measurement is over")
