"""A program beside the gateway: started, used, given up."""

from __future__ import annotations

import sys
from functools import partial

import psutil
import pytest
import trio

from gateway.child_process import ChildProcess, python_path, start_child
from tests.end_to_end.provider import until

ECHO = (sys.executable, "-c", "import sys\nwhile l := sys.stdin.readline(): print(l.strip()[::-1])")


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


async def started(nursery: trio.Nursery, idle: float = 60.0) -> ChildProcess:
    return await start_child(nursery, (*ECHO[:1], "-u", *ECHO[1:]), python_path(), idle)


async def test_it_is_spoken_to_and_ends_with_its_nursery() -> None:
    async with trio.open_nursery() as nursery:
        child = await started(nursery)
        await child.stdin.send_all(b"abc\n")
        assert await child.stdout.receive_some(3) == b"cba"
        assert psutil.pid_exists(child.pid)
        nursery.cancel_scope.cancel()
    assert child.ended
    assert not psutil.pid_exists(child.pid)
    with pytest.raises(trio.ClosedResourceError):
        await child.stdout.receive_some()


async def test_it_ends_when_it_is_told_to_or_not_used() -> None:
    async with trio.open_nursery() as nursery:
        told, idle, used = [await started(nursery) for _ in range(3)]
        told.end()
        idle._idle = 0.0
        idle.used()
        for child in (told, idle):
            assert child.ended
            await until(partial(gone, child.pid), "it is gone")
        assert psutil.pid_exists(used.pid)
        nursery.cancel_scope.cancel()


async def test_what_is_no_program_is_an_oserror_and_harms_no_other() -> None:
    async with trio.open_nursery() as nursery:
        child = await started(nursery)
        with pytest.raises(OSError, match="nowhere"):
            await start_child(nursery, ("/nowhere/program",), {}, 1.0)
        assert not child.ended
        nursery.cancel_scope.cancel()
