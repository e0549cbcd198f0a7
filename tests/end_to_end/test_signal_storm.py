"""Signals at random moments: of a start, an upgrade, while a worker is replaced, and of the exit.

Whatever comes when, the gateway ends with 0 once it is told to, and leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import trio

from ..rounds import rounds
from .harness import EXECUTED, PATIENCE, Served, children, config, starting
from .provider import until

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]
ROUNDS = rounds(1, 120)
# What asks for something while it runs, and what ends it.
ASK = (signal.SIGHUP, signal.SIGUSR2)
END = (signal.SIGTERM, signal.SIGINT)


def held_or_handled(pid: int) -> bool:
    """Say whether SIGHUP no longer ends the process: nothing can be done before Python runs."""
    masks = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in {"SigBlk", "SigCgt"}:
            masks[name] = int(value, 16)
    return bool((masks["SigBlk"] | masks["SigCgt"]) >> (signal.SIGHUP - 1) & 1)


def ready(served: Served) -> bool:
    return b"is ready at" in served.said


async def storm(served: Served, rng: random.Random) -> list[str]:
    """Send signals, and the last of them to leave; return which."""
    sent: list[str] = []

    def send(signum: signal.Signals, pid: int) -> None:
        sent.append(f"{signum.name} to {'the supervisor' if pid == served.pid else 'a worker'}")
        os.kill(pid, signum)

    if rng.random() < 0.7:
        await until(lambda: ready(served), "a ready gateway", PATIENCE)
    else:
        await trio.sleep(rng.uniform(0, 2))
    for _ in range(rng.randint(0, 4)):
        workers = children(served.pid)
        if ready(served) and workers and rng.random() < 0.2:
            send(signal.SIGKILL, rng.choice(workers))
        else:
            send(rng.choice(ASK), served.pid)
        await trio.sleep(rng.choice((0, 0.01, 0.1, 0.5, 2, 6)) * rng.random())
    send(rng.choice(END), served.pid)
    if rng.random() < 0.3:
        await trio.sleep(0.2 * rng.random())
        if served.process.poll() is None:
            send(rng.choice(END), served.pid)
    return sent


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells")
async def test_whatever_comes_when_it_ends_cleanly(write: Write, tmp_path: Path) -> None:
    for number in range(ROUNDS):
        rng = random.Random(number)
        folder, temporary = tmp_path / str(number), tmp_path / f"{number}t"
        os.mkdir(folder)
        os.mkdir(temporary)
        store = rng.choice(("", "sqlite:///gateway.db"))
        file = folder / "config.toml"
        text = config(1, server="drain_delay = 0.1\ndrain_timeout = 5", store=f'url = "{store}"')
        file.write_text(text)
        workers = rng.randint(1, 3)
        command = (*EXECUTED, "--workers", str(workers))
        async with starting(command, file, TMPDIR=str(temporary)) as served:

            def handles(served: Served = served) -> bool:
                return held_or_handled(served.pid)

            await until(handles, "a program that runs", PATIENCE)
            seen = set(children(served.pid))
            sent = await storm(served, rng)
            with contextlib.suppress(psutil.NoSuchProcess):
                seen |= set(children(served.pid))
            status = await served.exit_status(PATIENCE)
            told = f"round {number}, {workers} workers: {sent}\n{served.said.decode()}"
            # Before it listens for them these end a program as they end any.
            early = () if ready(served) else (-signal.SIGTERM, -signal.SIGINT, 130)
            # A worker that is killed in the moment of the exit has not left as it was told to.
            killed = (1,) if any(each.startswith("SIGKILL") for each in sent) else ()
            assert status in (0, *early, *killed), f"{status}: {told}"
            left = [name for name in os.listdir(folder) if name.startswith("gateway.pid")]
            assert not left, f"{left}: {told}"
            assert status or not os.listdir(temporary), f"{os.listdir(temporary)}: {told}"
            await until(lambda: not any(map(psutil.pid_exists, seen)), f"no process: {told}", 20)  # noqa: B023
