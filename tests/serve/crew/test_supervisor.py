"""Several workers: restarts, signals, and nobody left behind."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import psutil
import pytest
import trio

from gateway.serve.crew.crew import Crew
from gateway.serve.crew.supervisor import supervise

from ..processes import (
    Address,
    app,
    asking,
    eventually,
    exit_status,
    refuses_connections,
    running,
    said_address,
)

pytestmark = pytest.mark.slow

SUPERVISOR = app("supervised")


def sleeping(on_started: Callable[[int], None]) -> Crew:
    """Return a crew of one worker that sleeps."""
    return Crew(
        lambda listeners, lifeline, words: ["sleep", "60"], [], 1, 60, on_started=on_started
    )


def workers(process: trio.Process) -> set[int]:
    return {child.pid for child in psutil.Process(process.pid).children()}


async def answering(address: Address) -> int:
    async with asking(address, "/pid") as request:
        await request.wait_for(b"0\r\n\r\n")
        return int(request.got.split(b"\r\n\r\n")[1].split(b"\r\n")[1])


async def until_answered_by(address: Address, pids: set[int]) -> None:
    with trio.fail_after(15):
        while pids:
            pids = pids - {await answering(address)}


async def until_gone(pids: set[int]) -> None:
    await eventually(lambda: not any(map(psutil.pid_exists, pids)), 30)


async def test_a_killed_worker_is_replaced_while_requests_go_on() -> None:
    async with running(*SUPERVISOR, "2", "30") as process:
        address = await said_address(process)
        await eventually(lambda: len(workers(process)) == 2, 10)
        before = workers(process)
        await until_answered_by(address, before)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        with trio.fail_after(10):
            while len(workers(process) - {victim}) < 2:
                assert await answering(address) != victim
        await until_answered_by(address, workers(process) - before)

        after = workers(process)
        async with asking(address, "/ticks/10/0.05") as stream:
            await stream.wait_for(b"tick")
            process.send_signal(signal.SIGTERM)
            assert (await stream.wait_end()).endswith(b"done\r\n0\r\n\r\n")
        assert await exit_status(process, 15) == 0
        await until_gone(before | after)
        assert await refuses_connections(address)


async def test_sighup_reaches_workers_and_does_not_kill_them() -> None:
    async with running(*SUPERVISOR, "1", "30") as process:
        address = await said_address(process)
        before = await answering(address)
        process.send_signal(signal.SIGHUP)
        await trio.sleep(0.3)
        assert await answering(address) == before


async def test_workers_that_do_not_leave_are_killed_and_it_shows() -> None:
    async with running(*SUPERVISOR, "1", "0.5") as process:
        address = await said_address(process)
        async with asking(address, "/deaf") as stream:
            await stream.wait_for(b"tick")
            left = workers(process)
            process.send_signal(signal.SIGINT)
            assert await exit_status(process, 15) == 1
            await until_gone(left)


async def test_workers_leave_when_the_supervisor_is_killed() -> None:
    async with running(*SUPERVISOR, "2", "30") as process:
        address = await said_address(process)
        await answering(address)
        orphans = workers(process)
        assert orphans
        process.kill()
        await process.wait()
        await until_gone(orphans)


async def test_a_worker_that_dies_of_sighup_in_its_start_is_replaced_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    started: list[int] = []

    def on_started(pid: int) -> None:
        started.append(pid)
        os.kill(os.getpid(), signal.SIGHUP if len(started) < 4 else signal.SIGTERM)

    with trio.fail_after(30):
        status = await supervise(sleeping(on_started), sockets=[], kill_after=60)
    assert (status, len(started)) == (0, 4)
    assert not caplog.records


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_before_anybody_listens_is_obeyed(signum: signal.Signals) -> None:
    async with running(*SUPERVISOR, "1", "30") as process:
        await said_address(process)
        await trio.sleep(0.1)
        process.send_signal(signum)
        # A worker that is still importing dies of the signal; that must not hang anything.
        assert await exit_status(process, 15) == 0


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGSEGV)", "os._exit(1)"])
async def test_it_does_not_matter_how_the_signal_ends_a_worker_that_is_not_ready(end: str) -> None:
    script = f"""
import os, signal, time
signal.signal(signal.SIGINT, lambda *_: {end})
print(end="s", flush=True, file=open({{told}}, "w"))
time.sleep(60)
"""
    seen, told = os.pipe()

    def command(listeners: Sequence[int], lifeline: int, words: int) -> list[str]:
        return [sys.executable, "-c", script.format(told=told)]

    crew = Crew(command, [], 1, 60, pass_fds=[told])
    async with trio.open_nursery() as nursery:

        async def interrupt() -> None:
            await trio.to_thread.run_sync(os.read, seen, 1)
            os.kill(os.getpid(), signal.SIGINT)

        nursery.start_soon(interrupt)
        with trio.fail_after(20):
            assert await supervise(crew, sockets=[], kill_after=60) == 0
    os.close(seen)
    os.close(told)


async def test_a_worker_that_is_being_started_when_the_signal_comes_leaves_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = trio.lowlevel.open_process
    started: list[int] = []

    async def open_process(*args: Any, **options: Any) -> trio.Process:
        process = await real(*args, **options)
        os.kill(os.getpid(), signal.SIGTERM)
        # The signal is forwarded now, to nobody.
        await trio.sleep(0.1)
        return process

    monkeypatch.setattr(trio.lowlevel, "open_process", open_process)
    with trio.fail_after(10):
        status = await supervise(sleeping(started.append), sockets=[], kill_after=60)
    assert status == 0
    assert len(started) == 1
