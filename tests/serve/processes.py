"""Servers in processes of their own, and clients for them."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import trio

from ..fork_server.popen import SCRIPT, open_process

ROOT = Path(__file__).parents[2]
Address = tuple[str, int]
# What `python -m` does with the first argument, as a script: those are forked.
_AS_MODULE = """
import runpy, sys
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def app(name: str) -> tuple[str, ...]:
    """Return the command that runs one of `apps`, without arguments."""
    return (*SCRIPT, _AS_MODULE, f"tests.serve.apps.{name}")


@contextlib.asynccontextmanager
async def running(*command: str) -> AsyncIterator[trio.Process]:
    """Run a command; whatever is left of it at the end is killed."""
    process = await open_process(
        command,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            await process.wait()
            if process.stdout is not None:
                await process.stdout.aclose()


async def said_address(process: trio.Process) -> Address:
    """Return the address that the process prints once it listens."""
    assert process.stdout is not None
    line = b""
    with trio.fail_after(60):
        while not line.endswith(b"\n"):
            data = await process.stdout.receive_some()
            assert data, "the server left before it listened"
            line += data
    host, port = line.split()[0].decode().rsplit(":", 1)
    return host, int(port)


async def eventually(check: Callable[[], bool], seconds: float) -> None:
    """Return once `check` is true, which nothing tells us."""
    with trio.fail_after(seconds):
        while not check():  # noqa: ASYNC110  # other processes set no events of ours
            await trio.sleep(0.01)


async def exit_status(process: trio.Process, seconds: float) -> int:
    with trio.fail_after(seconds):
        return await process.wait()


class Asking:
    """One request, read as it comes."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.got = b""
        self._stream = stream

    async def wait_for(self, words: bytes, seconds: float = 15) -> None:
        with trio.fail_after(seconds):
            while words not in self.got:
                data = await self._stream.receive_some()
                assert data, f"ended after {self.got!r}"
                self.got += data

    async def wait_end(self, seconds: float = 15) -> bytes:
        with trio.fail_after(seconds), contextlib.suppress(trio.BrokenResourceError):
            while data := await self._stream.receive_some():
                self.got += data
        return self.got


@contextlib.asynccontextmanager
async def asking(address: Address, path: str) -> AsyncIterator[Asking]:
    stream = await trio.open_tcp_stream(*address)
    async with stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nhost: test\r\n\r\n".encode())
        yield Asking(stream)


async def refuses_connections(address: Address) -> bool:
    try:
        stream = await trio.open_tcp_stream(*address)
    except OSError:
        return True
    await stream.aclose()
    return False
