"""A process that asks for admission at a steady pace, for tests of several at once.

    start() of URL SECONDS RATE RPM in sys.argv

It says "ready", begins at the Unix time in the line that it is told, and prints how many requests
it had admitted, how many of all there were, how many it decided alone, and percentiles of how long
admission took, in milliseconds.
"""

from __future__ import annotations

import random
import sys
import time

import trio

from gateway.core.limits.ledger import Demand, LimitRefusal, Scope, ScopeLimits
from gateway.core.state_server import StateServer
from gateway.state.redis.limit_store import RedisLimitStore
from gateway.state.shared.limits import SharedLimits


async def main(url: str, seconds: float, rate: float, rpm: int) -> None:
    scopes = (Scope("token:crowd", ScopeLimits(rpm=rpm, tpm=10**9)),)
    limits = SharedLimits(RedisLimitStore(StateServer(url=url)), random.random, timeout=1.0)
    admitted = 0
    took: list[float] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(limits.run)
        print("ready", flush=True)  # noqa: T201
        start = float(await trio.to_thread.run_sync(sys.stdin.readline))
        await trio.sleep(max(0.0, start - time.time()))
        began = trio.current_time()

        async def ask() -> None:
            nonlocal admitted
            before = trio.current_time()
            grant = await limits.admit(scopes, Demand(10), 60.0)
            took.append(trio.current_time() - before)
            if not isinstance(grant, LimitRefusal):
                admitted += 1
                await limits.settle(grant, 10, 1)

        async with trio.open_nursery() as requests:
            for number in range(round(seconds * rate)):
                await trio.sleep_until(began + number / rate)
                requests.start_soon(ask)
        await limits.finish()
        nursery.cancel_scope.cancel()
    took.sort()
    percentiles = [round(1000 * took[int(len(took) * part)], 3) for part in (0.5, 0.99)]
    print(admitted, len(took), limits.decided_alone, *percentiles)  # noqa: T201


def start() -> None:
    trio.run(main, sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
