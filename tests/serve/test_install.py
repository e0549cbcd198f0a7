"""Our connections in Hypercorn's own command line."""

from __future__ import annotations

import importlib.metadata
import signal
import socket
import sys

import hypercorn.trio.run
import psutil
import pytest
import trio
from hypercorn.trio.tcp_server import TCPServer

from gateway.lifecycle import Lifecycle
from gateway.serve.connection import ClientConnection
from gateway.serve.entry.acceptor import Acceptor
from gateway.serve.install import install
from gateway.serve.policy import ServingPolicy

from ..rounds import rounds
from .processes import Address, asking, eventually, exit_status, running

pytestmark = pytest.mark.slow

HYPERCORN = (sys.executable, "-m", "hypercorn", "-k", "trio", "tests.serve.apps.command_line:app")


def free_address() -> Address:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        host, port = sock.getsockname()
        return host, port


async def until_listening(address: Address) -> None:
    with trio.fail_after(10):
        while True:
            try:
                stream = await trio.open_tcp_stream(*address)
            except OSError:
                await trio.sleep(0.05)
            else:
                await stream.aclose()
                return


def test_replaces_the_connections_of_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypercorn.trio.run, "TCPServer", TCPServer)
    monkeypatch.setattr(hypercorn.trio.run, "trio", trio)
    for _ in range(2):
        connections = install(ServingPolicy, Lifecycle())
        installed = vars(hypercorn.trio.run)["TCPServer"]
        assert getattr(installed, "func", None) is ClientConnection
        assert getattr(installed, "args", None) == (connections,)
        stand_in = vars(hypercorn.trio.run)["trio"]
        assert isinstance(stand_in.serve_listeners, Acceptor)
        assert stand_in.open_nursery is trio.open_nursery


def test_refuses_other_versions_of_hypercorn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypercorn.trio.run, "TCPServer", TCPServer)
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.19.0")
    with pytest.raises(RuntimeError, match=r"needs hypercorn 0\.18\.x, but 0\.19\.0"):
        install(ServingPolicy, Lifecycle())


def test_refuses_a_worker_without_the_name_it_replaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(hypercorn.trio.run, "TCPServer")
    with pytest.raises(RuntimeError, match="no longer"):
        install(ServingPolicy, Lifecycle())


def test_refuses_a_worker_that_accepts_in_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypercorn.trio.run, "TCPServer", TCPServer)
    monkeypatch.setattr(hypercorn.trio.run, "worker_serve", lambda: None)
    with pytest.raises(RuntimeError, match=r"no longer accepts by trio\.serve_listeners"):
        install(ServingPolicy, Lifecycle())


# The longest outlives the 3 s that Hypercorn gives by itself; with two workers the idle one is
# done long before, whereupon Hypercorn's parent sends SIGTERM to the other.
@pytest.mark.parametrize(("workers", "ticks"), [("0", 15), *rounds([], [("1", 15)]), ("2", 75)])
async def test_the_command_line_serves_and_drains(workers: str, ticks: int) -> None:
    address = free_address()
    bind = f"{address[0]}:{address[1]}"
    async with running(*HYPERCORN, "-w", workers, "-b", bind) as process:
        await until_listening(address)
        async with asking(address, f"/ticks/{ticks}/0.05") as stream:
            await stream.wait_for(b"tick")
            async with asking(address, "/a#b") as refused:
                assert b"The request target must be a path" in await refused.wait_end()
            process.send_signal(signal.SIGTERM)
            assert (await stream.wait_end(15)).endswith(b"done\r\n0\r\n\r\n")
        assert await exit_status(process, 15) == 0


async def test_a_worker_that_nobody_called_still_obeys_sigterm() -> None:
    address = free_address()
    bind = f"{address[0]}:{address[1]}"
    async with running(*HYPERCORN, "-w", "0", "-b", bind) as process:
        await eventually(lambda: _listens(process.pid), 10)
        process.send_signal(signal.SIGTERM)
        assert await exit_status(process, 15) == -signal.SIGTERM


def _listens(pid: int) -> bool:
    found = psutil.Process(pid).net_connections()
    return any(connection.status == psutil.CONN_LISTEN for connection in found)
