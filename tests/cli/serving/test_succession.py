"""What a supervisor does before it becomes another program; upgrades have tests end to end."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from gateway.serve.crew.supervisor import SIGNALS

from ...fork_server import popen

SCRIPT = """
import os
import threading
import trio
from gateway.cli.serving.succession import _hold_back_in_threads

def blocked(thread_id):
    with open(f"/proc/self/task/{thread_id}/status") as status:
        [mask] = [line.split()[1] for line in status if line.startswith("SigBlk")]
    return mask

async def main():
    met = threading.Barrier(3)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(trio.to_thread.run_sync, met.wait)
    _hold_back_in_threads()
    print(blocked(os.getpid()))
    for each in threading.enumerate():
        if each.name.startswith("Trio thread"):
            print(blocked(each.native_id))

trio.run(main)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux tells of threads")
def test_threads_that_trio_keeps_take_no_signal_either() -> None:
    ran = popen.run([*popen.SCRIPT, SCRIPT], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    main, *kept = (int(mask, 16) for mask in ran.stdout.split())
    held_back = sum(1 << (each - 1) for each in {signal.Signals(each) for each in SIGNALS})
    assert main & held_back == 0
    assert len(kept) == 3
    assert all(mask & held_back == held_back for mask in kept)
