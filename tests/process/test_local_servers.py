"""Which demo servers run."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from gateway.config.schema import Provider
from gateway.upstream.demos import KEPT, DemoServers


def demo(interval: float = 0.0) -> Provider:
    return Provider(kind="demo", token_interval=interval)


async def answers(port: int) -> bool:
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
    except OSError:
        return False
    async with stream:
        await stream.send_all(b"GET /v1/models HTTP/1.1\r\nhost: demo\r\n\r\n")
        return (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")


async def test_a_demo_goes_on_through_every_reload_that_keeps_it() -> None:
    async with trio.open_nursery() as nursery:
        demos = DemoServers(nursery)
        other = Provider(kind="openai", base_url="http://127.0.0.1:1/v1")
        await demos.start({"a": demo(), "o": other})
        port = demos.port("a", demo())
        for providers in ({"a": demo(), "b": demo()}, {"b": demo()}, {"a": demo()}):
            await demos.start(providers)
            demos.stop_old(providers)
        assert demos.port("a", demo()) == port
        assert demos.port("b", demo()) != port
        assert await answers(port)
        with pytest.raises(KeyError):
            demos.port("o", other)
        nursery.cancel_scope.cancel()


async def test_only_the_last_of_those_that_are_gone_go_on() -> None:
    async with trio.open_nursery() as nursery:
        demos = DemoServers(nursery)
        ports = []
        for interval in range(KEPT + 3):
            providers = {"a": demo(interval)}
            await demos.start(providers)
            demos.stop_old(providers)
            ports.append(demos.port("a", demo(interval)))
        await trio.testing.wait_all_tasks_blocked()
        # The present one, and KEPT before it.
        assert [await answers(port) for port in ports] == [False] * 2 + [True] * (KEPT + 1)
        nursery.cancel_scope.cancel()
