from __future__ import annotations

import fcntl
import os
import stat
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.telemetry.metrics.directory import VARIABLE, named_directory, shared_directory

from ...fork_server import popen
from ...rounds import rounds


def test_it_is_private_and_goes_with_all_that_is_in_it() -> None:
    with shared_directory() as directory:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        (directory / "1-a.cells").write_bytes(b"x")
    assert not directory.exists()


def test_it_is_locked_against_those_who_clean_up() -> None:
    with shared_directory() as directory:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)


def test_the_environment_names_it() -> None:
    assert named_directory({VARIABLE: "/run/gateway"}) == Path("/run/gateway")
    assert named_directory({VARIABLE: ""}) is None
    assert named_directory({}) is None


# Several processes...

WORKER = """
import mmap, struct, sys
from pathlib import Path
from tests.telemetry.samples import make, settled

directory, truth, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
metrics = make(directory)
metrics.publish()
# What this worker has counted, so that it can be compared even after SIGKILL.
with open(truth, "r+b") as file:
    view = memoryview(mmap.mmap(file.fileno(), 8)).cast("Q")
print("ready", flush=True)
for line in sys.stdin:
    if line == "scrape\\n":
        metrics.publish()
        print(metrics.expose(None)[1].decode().replace("\\n", "\\t"), flush=True)
        continue
    if line == "stop\\n":
        break
    number = 0
    while line == "for ever\\n" or number < int(line):
        metrics.record(settled(model=f"m{number % 5}", token=name))
        view[0] += 1
        number += 1
    print("done", flush=True)
"""


class Worker:
    def __init__(self, directory: Path, truth: Path, name: str) -> None:
        truth.write_bytes(bytes(8))
        self.truth = truth
        self.process = popen.Popen(
            [*popen.SCRIPT, WORKER, directory, truth, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        assert self._answer() == "ready"

    @property
    def counted(self) -> int:
        number: int = struct.unpack("=Q", self.truth.read_bytes())[0]
        return number

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def ask(self, command: str) -> str:
        self.tell(command)
        return self._answer()

    def end(self, *, kill: bool) -> None:
        if kill:
            self.process.kill()
        else:
            self.tell("stop")
        self.process.communicate(timeout=20)

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return str(self.process.stdout.readline().rstrip("\n"))


def read(body: str) -> dict[str, float]:
    lines = [line.rsplit(" ", 1) for line in body.split("\t") if line and line[0] != "#"]
    return {name: float(value) for name, value in lines}


def requests(found: dict[str, float]) -> float:
    return sum(value for name, value in found.items() if name.startswith("gateway_requests_total"))


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[list[Worker]]:
    (tmp_path / "cells").mkdir()
    workers = [Worker(tmp_path / "cells", tmp_path / f"truth-{n}", f"t{n}") for n in range(3)]
    yield workers
    for worker in workers:
        if worker.process.poll() is None:
            worker.end(kill=True)


@pytest.mark.slow
def test_three_processes_count_as_one(crew: list[Worker], tmp_path: Path) -> None:
    for number, worker in enumerate(crew):
        assert worker.ask(str(100 * (number + 1))) == "done"
    for worker in crew:
        found = read(worker.ask("scrape"))
        assert requests(found) == 600
        assert found["gateway_workers"] == 3
        assert found["gateway_in_flight_requests"] == 9
        assert found["gateway_loop_lag_seconds"] == 0.25
        assert found["gateway_inter_event_gap_seconds_count"] == 39
        # Nothing of one of them alone.
        assert not any(name.startswith(("process_", "python_")) for name in found)
    crew[0].end(kill=True)
    crew[1].end(kill=False)
    found = read(crew[2].ask("scrape"))
    assert requests(found) == 600
    assert found["gateway_inter_event_gap_seconds_count"] == 39
    assert found["gateway_workers"] == 1
    assert found["gateway_in_flight_requests"] == 3


@pytest.mark.slow
def test_a_killed_worker_loses_no_count_and_nothing_goes_backwards(
    crew: list[Worker], tmp_path: Path
) -> None:
    last: dict[str, float] = {}
    counted = 0

    def look() -> dict[str, float]:
        nonlocal last
        found = read(crew[0].ask("scrape"))
        for name, value in last.items():
            if "_total" in name or "_bucket" in name or "_count" in name or "_sum" in name:
                assert found[name] >= value, name
        last = found
        return found

    numbers = range(3, 3 + rounds(2, 4))
    for number in numbers:
        crew[1].tell("for ever")
        crew[2].tell("for ever")
        for _ in range(3):
            look()
        victim = crew.pop(1)
        victim.end(kill=True)
        look()
        crew.append(Worker(tmp_path / "cells", tmp_path / f"truth-{number}", f"t{number}"))
        look()
        counted += victim.counted
        victim = crew.pop(1)
        victim.end(kill=True)
        counted += victim.counted
        crew.append(Worker(tmp_path / "cells", tmp_path / f"truth-b{number}", f"b{number}"))
    # One each may have been killed between the metric and the truth.
    assert counted > 250 * len(numbers)
    found = look()
    assert counted <= requests(found) <= counted + 2 * len(numbers)
    assert found["gateway_workers"] == 3
    # Nothing is left behind by those that were replaced.
    assert len(list((tmp_path / "cells").iterdir())) == 3
    bucket = 'gateway_request_duration_seconds_count{model="m0",provider="openai"}'
    assert found[bucket] > 0
