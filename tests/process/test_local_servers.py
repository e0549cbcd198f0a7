"""Which of the providers' own servers run."""

from __future__ import annotations

import trio
import trio.testing

from gateway.process.local_servers import KEPT, LocalServers
from gateway.providers.kinds.demo import DemoProvider
from gateway.providers.settings import Provider


def demo(interval: float = 0.0) -> Provider:
    return DemoProvider(kind="demo", token_interval=interval)


async def answers(address: str | None) -> bool:
    assert address is not None
    port = int(address.removesuffix("/v1").rpartition(":")[2])
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
    except OSError:
        return False
    async with stream:
        await stream.send_all(b"GET /v1/models HTTP/1.1\r\nhost: demo\r\n\r\n")
        return (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")


async def test_a_demo_goes_on_through_every_reload_that_keeps_it() -> None:
    async with trio.open_nursery() as nursery:
        servers = LocalServers(nursery)
        other = Provider(kind="openai", base_url="http://127.0.0.1:1/v1")
        await servers.start({"a": demo(), "o": other})
        address = servers.address("a", demo())
        for providers in ({"a": demo(), "b": demo()}, {"b": demo()}, {"a": demo()}):
            await servers.start(providers)
            servers.stop_old(providers)
        assert servers.address("a", demo()) == address
        assert servers.address("b", demo()) != address
        assert await answers(address)
        assert servers.address("o", other) is None
        nursery.cancel_scope.cancel()


async def test_only_the_last_of_those_that_are_gone_go_on() -> None:
    async with trio.open_nursery() as nursery:
        servers = LocalServers(nursery)
        addresses = []
        for interval in range(KEPT + 3):
            providers = {"a": demo(interval)}
            await servers.start(providers)
            servers.stop_old(providers)
            addresses.append(servers.address("a", demo(interval)))
        await trio.testing.wait_all_tasks_blocked()
        # The present one, and KEPT before it.
        assert [await answers(each) for each in addresses] == [False] * 2 + [True] * (KEPT + 1)
        nursery.cancel_scope.cancel()
