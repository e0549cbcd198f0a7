from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from gateway.core.limits.ledger import Demand, Scope, ScopeLimits
from gateway.core.limits.operations import AdmitCall, Admitted, NotAdmitted, StoreFailed
from gateway.group.host_store import HostLimitStore
from gateway.group.limit_host import LimitHost

PLACES = (Scope("token:a", ScopeLimits(max_concurrent=3)),)
HOLDER = """
import sys, trio
from pathlib import Path
from gateway.core.limits.ledger import Demand, Scope, ScopeLimits
from gateway.core.limits.operations import AdmitCall
from gateway.group.host_store import HostLimitStore

async def main():
    store = HostLimitStore(Path(sys.argv[1]))
    scopes = (Scope("token:a", ScopeLimits(max_concurrent=3)),)
    async with store.connected():
        for number in range(3):
            await store.call(AdmitCall(str(number), scopes, Demand(), 60.0))
        print("held", end="", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


async def test_places_of_a_killed_worker_are_free_at_once(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    path = tmp_path / "limits.sock"
    host = LimitHost(path)
    await nursery.start(host.run)
    assert path.stat().st_mode & 0o077 == 0
    worker = await trio.lowlevel.open_process(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE
    )
    assert worker.stdout is not None
    async with worker.stdout:
        with trio.fail_after(30):
            assert await worker.stdout.receive_some() == b"held"
    store = HostLimitStore(path)
    async with store.connected():
        refusal = await store.call(AdmitCall("x", PLACES, Demand(), 60.0))
        assert isinstance(refusal, NotAdmitted)
        assert host.ledger.held() == 3
        os.kill(worker.pid, signal.SIGKILL)
        await worker.wait()
        with trio.fail_after(30):
            while host.ledger.held():  # noqa: ASYNC110
                await trio.sleep(0.001)
        assert isinstance(await store.call(AdmitCall("y", PLACES, Demand(), 60.0)), Admitted)


async def test_whoever_speaks_nonsense_harms_nobody(tmp_path: Path, nursery: trio.Nursery) -> None:
    path = tmp_path / "limits.sock"
    await nursery.start(LimitHost(path).run)
    store = HostLimitStore(path)
    async with store.connected():
        for nonsense in (b"\x00\x00\x00\x01x", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100, b""):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(path))
                sock.sendall(nonsense)
        answer = await store.call(AdmitCall("x", PLACES, Demand(), 60.0))
        assert isinstance(answer, Admitted)


async def test_a_host_that_leaves_fails_who_asks(tmp_path: Path, nursery: trio.Nursery) -> None:
    path = tmp_path / "limits.sock"
    host = trio.CancelScope()

    async def run(task_status: trio.TaskStatus[None]) -> None:
        with host:
            await LimitHost(path).run(task_status)

    await nursery.start(run)
    store = HostLimitStore(path)
    with pytest.RaisesGroup(StoreFailed):
        async with store.connected():
            host.cancel()
            with trio.fail_after(30):
                while not store.lost:  # noqa: ASYNC110
                    await trio.sleep(0.001)
            await store.call(AdmitCall("x", PLACES, Demand(), 60.0))


async def test_without_a_socket_there_is_nobody_to_ask(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(LimitHost(tmp_path / "none" / "limits.sock").run)
    with pytest.raises(StoreFailed, match="supervisor"):
        async with HostLimitStore(tmp_path / "none" / "limits.sock").connected():
            raise AssertionError("connected to nobody")
