"""Two hosts on this machine, in network namespaces, and a third one that both can be cut off from.

Each has two links: one by which callers and providers reach it, and one to where the state server
and the database are. The third host is the tests' own namespace; what listens there on loopback is
passed on from the links.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from ..fork_server.popen import SCRIPT

_READ = 65536
# What `ip netns exec` does, before the gateway begins: only a program of its own could be executed.
_ENTERED: Final = """
import ctypes, os, runpy, sys
libc = ctypes.CDLL(None, use_errno=True)
with open(f"/run/netns/{sys.argv.pop(1)}") as namespace:
    if libc.setns(namespace.fileno(), 0x40000000):  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns")
sys.argv[0] = "gateway"
runpy.run_module("gateway", run_name="__main__", alter_sys=True)
"""


def missing() -> str:
    """Return why there can be no hosts here; "" if there can."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    if shutil.which("ip") is None:
        return "no `ip` (iproute2)"
    name = f"gwprobe{os.getpid()}"
    if _ip("netns", "add", name, check=False).returncode:
        return "network namespaces cannot be made here"
    _ip("netns", "del", name)
    return ""


@dataclass(frozen=True)
class Host:
    """`address` is its own, `callers` and `states` are the third host's on its two links."""

    name: str
    number: int
    network: str
    state_link: str

    @property
    def address(self) -> str:
        return f"{self.network}.{self.number}.2"

    @property
    def callers(self) -> str:
        return f"{self.network}.{self.number}.1"

    @property
    def states(self) -> str:
        return f"{self.network}.{self.number + 100}.1"

    def command(self, arguments: Sequence[str]) -> tuple[str, ...]:
        """Return what runs a gateway with these arguments on this host."""
        return (*SCRIPT, _ENTERED, self.name, *arguments)

    def cut(self) -> None:
        """From now on nothing that is sent to the third host arrives, and nothing says so."""
        _ip("link", "set", self.state_link, "down")

    def heal(self) -> None:
        _ip("link", "set", self.state_link, "up")


@contextlib.contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Make them, and take them away at the end, with whatever still runs there."""
    tag = os.getpid() % 100_000
    network = f"10.{100 + os.getpid() % 100}"
    with contextlib.ExitStack() as stack:
        hosts = []
        for number in (1, 2):
            name = f"gw{tag}h{number}"
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name, check=False)
            for link, third in (("c", number), ("s", number + 100)):
                ours, theirs = f"gw{tag}{link}{number}", f"{link}{number}"
                _ip(*("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name))
                stack.callback(_ip, "link", "del", ours, check=False)
                _ip("addr", "add", f"{network}.{third}.1/24", "dev", ours)
                _ip("link", "set", ours, "up")
                inside = ("netns", "exec", name, "ip")
                _ip(*inside, "addr", "add", f"{network}.{third}.2/24", "dev", theirs)
                _ip(*inside, "link", "set", theirs, "up")
            _ip("netns", "exec", name, "ip", "link", "set", "lo", "up")
            hosts.append(Host(name, number, network, f"gw{tag}s{number}"))
        yield hosts[0], hosts[1]


@contextlib.asynccontextmanager
async def passed_on(routes: Sequence[tuple[str, int]]) -> AsyncIterator[None]:
    """Pass on what comes to each address and port to the same port on loopback."""
    async with trio.open_nursery() as nursery:
        for address, port in routes:
            (listener,) = await trio.open_tcp_listeners(port, host=address)

            async def serve(stream: trio.SocketStream, port: int = port) -> None:
                await _pass_on(stream, port)

            nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield
        nursery.cancel_scope.cancel("the test is over")


async def _pass_on(stream: trio.SocketStream, port: int) -> None:
    async with stream:
        try:
            other = await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            return
        async with other, trio.open_nursery() as nursery:

            async def copy(source: trio.SocketStream, target: trio.SocketStream) -> None:
                with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    while data := await source.receive_some(_READ):
                        await target.send_all(data)
                nursery.cancel_scope.cancel("one end is gone")

            nursery.start_soon(copy, stream, other)
            nursery.start_soon(copy, other, stream)


def _ip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["ip", *arguments], check=check, capture_output=True)  # noqa: S603, S607
