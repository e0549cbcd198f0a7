"""Record at a rate and be killed, again and again.

Forks, so that the imports are paid for once. Prints a line of JSON for each run: when it was
killed, and when which record was made, both by the fair clock of the process that was killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import time
from pathlib import Path
from typing import Final

import structlog
import trio

from gateway.store.engine.database import Database
from gateway.store.writing.writer import Writer

from ..fair_clock import FairClock, fair_time
from .recording import record

RUN: Final = 100_000
_PAUSE: Final = 0.002
_LINE: Final = struct.Struct("=Qd")


async def _record(url: str, folder: Path, first: int, pipe: int) -> None:
    writer = Writer(Database(url, folder), folder / "journal", max_bytes=2**30, max_waiting=10_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        for number in range(first, first + RUN):
            os.write(pipe, _LINE.pack(number, trio.current_time()))
            writer.record(record(number))
            await trio.sleep(_PAUSE)


def main(url: str, folder: Path, runs: int) -> None:
    # Standard output is for what the test reads.
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    rng = random.Random(1)
    for run in range(runs):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            trio.run(_record, url, folder, run * RUN, writing, clock=FairClock())
        os.close(writing)
        until = fair_time(child, child) + rng.uniform(0.05, 0.6)
        while (killed := fair_time(child, child)) < until:
            time.sleep(until - killed)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(reading, "rb") as pipe:
            made = [*_LINE.iter_unpack(pipe.read())]
        print(json.dumps({"killed": killed, "made": made}), flush=True)  # noqa: T201
