"""Several processes of one gateway keep to one and the same limits, and learn from each other."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from ..valkey import ValkeyServer
from .caller import ask, get
from .harness import GATEWAY, Served, children, config, spawned
from .provider import Asked, serving, speaking, until
from .store import eventually
from .test_in_flight import stuck
from .wire import Script, Step, whole

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]
WORKERS = (*GATEWAY, "--workers", "3")
KEY = "sk-app-of-the-tests"
RPM = 30


def token(limits: str) -> str:
    return (
        f'[metrics]\npublic = true\n[[tokens]]\nname = "t"\nkey = "{KEY}"\nmodels = ["*"]\n{limits}'
    )


async def statuses(port: int, many: int) -> Counter[int]:
    """Return the answers to so many requests, each by a connection of its own."""
    found: Counter[int] = Counter()

    async def one() -> None:
        found[(await ask(port, key=KEY)).status] += 1

    for _ in range(many // 10):
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(one)
    return found


async def metric(served: Served, name: str) -> float:
    reply = await get(served.port, "/metrics", key=KEY)
    lines = reply.body.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


async def test_workers_share_a_rate(write: Write) -> None:
    async with serving(speaking) as provider:
        file = write(config(provider.port, tokens=token(f"rpm = {RPM}")))
        async with spawned(WORKERS, file) as served:
            began = time.monotonic()
            found = await statuses(served.port, 3 * RPM)
            due = RPM + (time.monotonic() - began) * RPM / 60
    assert set(found) == {200, 429}
    assert RPM <= found[200] <= due + 1


async def test_a_killed_worker_leaves_no_place_taken(write: Write) -> None:
    async with serving(stuck) as provider:
        file = write(config(provider.port, tokens=token("max_concurrent = 1")))
        async with spawned(WORKERS, file) as served, trio.open_nursery() as nursery:

            async def asks() -> None:
                # Its worker is killed under it.
                with trio.move_on_after(20):
                    try:
                        await ask(served.port, key=KEY, stream=True)
                    except (AssertionError, trio.BrokenResourceError, ConnectionError):
                        return

            nursery.start_soon(asks)
            await provider.wait_asked(1)
            assert (await ask(served.port, key=KEY)).status == 429
            for pid in children(served.pid):
                os.kill(pid, signal.SIGKILL)
            provider.answer = speaking

            async def answers() -> bool:
                try:
                    return (await ask(served.port, key=KEY)).status == 200
                except (AssertionError, trio.BrokenResourceError, OSError):
                    return False

            await eventually(answers, "a place")
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("of", ["provider", "gateway"])
async def test_workers_share_places_of_a_provider_and_of_the_gateway(of: str, write: Write) -> None:
    under_way = most = 0

    def counted(asked: Asked) -> Iterator[Step]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        yield (0.05, b"")
        # Once it has its answer, the gateway may give the place away before it counts as sent.
        under_way -= 1
        yield from speaking(asked)

    async with serving(counted) as provider:
        limit = "max_concurrent = 2"
        text = config(
            provider.port,
            tokens=token(""),
            provider=limit if of == "provider" else "",
            overload="lag = 0\n[limits]\nqueue_timeout = 30\n"
            + (limit if of == "gateway" else "max_concurrent = 50"),
        )
        async with spawned(WORKERS, write(text)) as served:
            await until(lambda: served.said.decode().count("limits are shared") == 3, "workers", 20)
            found: Counter[int] = Counter()

            async def one() -> None:
                found[(await ask(served.port, key=KEY)).status] += 1

            async with trio.open_nursery() as nursery:
                for _ in range(40):
                    nursery.start_soon(one)
            assert found == {200: 40}
            assert (under_way, most) == (0, 2)


@pytest.mark.measured  # A second, and what a busy machine adds.
async def test_a_dead_key_rests_in_every_worker(write: Write) -> None:
    used: Counter[str] = Counter()

    def by_key(asked: Asked) -> Script:
        used[key := asked.headers["authorization"]] += 1
        if key == "Bearer sk-dead":
            body = b'{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}'
            return [(0.0, whole(401, body))]
        return speaking(asked)

    async with serving(by_key) as provider:
        text = config(provider.port, tokens=token("")).replace(
            'api_key = "sk-provider"', 'api_keys = ["sk-dead", "sk-alive"]'
        )
        async with spawned(WORKERS, write(text)) as served:
            shared = "limits are shared"
            await until(lambda: served.said.decode().count(shared) == 3, "workers", 20)
            with trio.fail_after(30):
                while not used["Bearer sk-dead"]:
                    assert (await ask(served.port, key=KEY)).status == 200
            # The others hear of it within a second, on a machine that is not busy.
            await trio.sleep(2)
            for _ in range(30):
                assert (await ask(served.port, key=KEY)).status == 200
            assert used["Bearer sk-dead"] == 1


async def test_gateways_share_limits_through_a_server(write: Write, valkey: ValkeyServer) -> None:
    state = f'[state]\nurl = "{valkey.url}"\ntimeout = 2.0\n'
    async with serving(speaking) as provider:
        file = write(config(provider.port, tokens=token(f"rpm = {RPM}")) + state)
        async with spawned(GATEWAY, file) as one, spawned(GATEWAY, file) as two:
            began = time.monotonic()
            found = await statuses(one.port, RPM) + await statuses(two.port, 2 * RPM)
            due = RPM + (time.monotonic() - began) * RPM / 60
            assert await metric(one, "gateway_limits_degraded") == 0
    assert set(found) == {200, 429}
    assert RPM <= found[200] <= due + 1


async def test_serves_while_the_server_is_away_and_says_so(
    write: Write, valkey: ValkeyServer
) -> None:
    state = f'[state]\nurl = "{valkey.url}"\ntimeout = 2.0\n'
    valkey.kill()
    try:
        async with serving(speaking) as provider:
            file = write(config(provider.port, tokens=token("rpm = 1000")) + state)
            async with spawned(GATEWAY, file) as served:
                assert await statuses(served.port, 20) == {200: 20}
                assert "limits_degraded" in served.said.decode()
                assert await metric(served, "gateway_limits_degraded") == 1
                assert await metric(served, "gateway_limits_decided_alone_total") >= 20
                valkey.start()
                await until(lambda: "limits are shared" in served.said.decode(), "the server", 20)
                assert await statuses(served.port, 20) == {200: 20}
    finally:
        if valkey._process is None:
            valkey.start()


async def test_an_answer_that_one_gateway_kept_is_given_by_another(
    write: Write, valkey: ValkeyServer
) -> None:
    shared = f'[state]\nurl = "{valkey.url}"\ntimeout = 2.0\n[cache]\nshared = true\n'
    async with serving(speaking) as provider:
        file = write(config(provider.port, tokens=token("")) + shared)
        async with spawned(GATEWAY, file) as one, spawned(GATEWAY, file) as two:
            headers = [("x-gateway-cache", "ttl=60")]

            async def cached(served: Served) -> bool:
                reply = await ask(served.port, key=KEY, headers=headers)
                assert reply.status == 200
                return len(provider.asked) == 1

            assert await cached(one)
            assert await cached(one)
            await until(lambda: valkey.command("KEYS", "*:a:*") != [], "the answer", 20)
            assert await cached(two)
            assert await cached(two)
