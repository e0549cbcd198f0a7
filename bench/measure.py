"""One measurement: the load client against one subject, with everybody's CPU time around it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
import psutil

from .check import ask
from .results import Sample
from .scenarios import Scenario
from .subjects import Launch
from .tree import Tree, Usage
from .window import Counted, Plan

ROOT: Final = Path(__file__).parent.parent
# How long a subject may take to give back what the client left unfinished.
_SETTLE_SECONDS: Final = 20.0


class Settings(msgspec.Struct, frozen=True):
    """How long to count: `seconds`, or until `requests` are answered if that is not 0."""

    seconds: float = 8.0
    requests: int = 0
    warm_up: float = 2.0
    usage: bool = False


class Cores(msgspec.Struct, frozen=True):
    """Which core the subject has for itself, and which the harness uses; None: any."""

    subject: int | None = None
    harness: int | None = None


class Provider:
    """The fake provider's process, and what it says of itself."""

    def __init__(self, cores: Cores) -> None:
        argv = [sys.executable, "-m", "bench.upstream"]
        self.tree = Tree.start(
            "provider", argv, core=cores.harness, cwd=ROOT, stdout=subprocess.PIPE
        )
        assert self.tree.popen.stdout is not None
        self.port = int(self.tree.popen.stdout.readline())

    def late(self) -> float:
        """Return the most milliseconds the provider was late since the last call."""
        return self._stats()["late_ms"]

    def settle(self) -> None:
        """Wait until no stream is open, so that one measurement's rest is not in the next."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while self._stats()["open"] and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.2)

    def _stats(self) -> dict[str, float]:
        probe = _Stats(port=self.port, argv=[])
        return msgspec.json.decode(ask(probe, b"")[1], type=dict[str, float])


class _Stats(Launch, frozen=True):
    def request(self, body: bytes) -> bytes:
        del body
        return b"GET /stats HTTP/1.1\r\nHost: provider\r\n\r\n"


def drive(
    launch: Launch,
    scenario: Scenario,
    settings: Settings,
    core: int | None,
    *,
    mark: Callable[[Tree], None],
) -> Counted:
    """Run the load client; call `mark` with it when its window opens and when it closes."""
    plan = Plan(
        port=launch.port,
        request=launch.request(scenario.body(launch.model, usage=settings.usage)).decode(),
        model=launch.answers_as,
        connections=scenario.connections,
        events=scenario.events,
        ramp=scenario.ramp,
        warm_up=settings.warm_up,
        seconds=settings.seconds,
        requests=settings.requests,
    )
    argv = [sys.executable, "-m", "bench.load"]
    pipe = subprocess.PIPE
    load = Tree.start("load", argv, core=core, cwd=ROOT, stdin=pipe, stdout=pipe)
    with closing(_Stopping(load)):
        stdin, stdout = load.popen.stdin, load.popen.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(msgspec.json.encode(plan))
        stdin.close()
        for word in (b"open\n", b"close\n"):
            if stdout.readline() != word:
                raise RuntimeError("the load client has failed, see its output above")
            mark(load)
        return msgspec.json.decode(stdout.readline(), type=Counted)


class _Stopping:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def close(self) -> None:
        self._tree.stop()


def measure(
    launch: Launch,
    subject: Tree,
    provider: Provider,
    scenario: Scenario,
    settings: Settings,
    cores: Cores,
    number: int,
) -> Sample:
    """Measure `subject` under `scenario` once; `number` is the round's."""
    marks: list[tuple[Usage, Usage, Usage]] = []
    machine: list[float] = []

    def mark(load: Tree) -> None:
        marks.append((subject.usage(), load.usage(), provider.tree.usage()))
        machine.append(machine_cpu())

    provider.late()
    counted = drive(launch, scenario, settings, cores.harness, mark=mark)
    late = provider.late()
    provider.settle()
    cpu, load_cpu, provider_cpu = (
        after.cpu - before.cpu for before, after in zip(*marks, strict=True)
    )
    # A direct run's subject is the provider: not to be counted twice.
    ours = cpu + load_cpu + (0 if launch.port == provider.port else provider_cpu)
    return Sample(
        scenario=scenario.name,
        subject=subject.name,
        round=number,
        counted=counted,
        cpu=cpu,
        load_cpu=load_cpu,
        provider_cpu=provider_cpu,
        other_cpu=max(0.0, machine[1] - machine[0] - ours),
        rss=marks[1][0].rss,
        late_ms=late,
    )


def machine_cpu() -> float:
    """Return the CPU seconds that all processes together have used, the kernel's own included."""
    times = psutil.cpu_times()
    idle: float = times.idle + getattr(times, "iowait", 0.0)
    # Guests are in `user` already (proc_stat(5)).
    guest: float = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times)) - idle - guest
