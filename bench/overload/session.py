"""The gateway under all loads, in turn; every load finds it idle and freshly measured.

Before each load what it can do at most is measured, with callers that ask again as soon as they
are answered. Then they ask one, two and five times as much, whether it can or not; then one key of
ten floods while the other nine ask for half of what there is. All the while a health probe comes
every 0.1 s, each on a connection of its own, as an orchestrator's would.

What part of the peak is left is measured once more, with a second gateway on the same core that is
at its peak meanwhile: there are no two minutes in which a shared machine is equally fast. Its peak
is that of as many connections: with 500 in place of 32 a request costs a tenth more, whatever is
done with it.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from ..check import answers
from ..compare import SubjectFailed, machine, pinning, raise_file_limit
from ..measure import ROOT, Provider, machine_cpu
from ..scenarios import SCENARIOS
from ..subjects import Launch
from ..tree import Tree
from .gateway import KEYS, key, launch_of
from .plan import OK, OpenCounts, OpenPlan, Source

LOADS: Final = (1, 2, 5)
FLOODERS: Final = 1000
# As many clients as a busy gateway has; so many requests can be under way at once.
_KEPT: Final = 500
_CALLERS: Final = 32
_GRACE: Final = 20.0
_START_SECONDS: Final = 60.0
PROBE: Final = "probe"
ASKED: Final = "asked"
OTHERS: Final = "nine keys"
FLOOD: Final = "flooding key"

# The provider, how the gateway is reached, and its process.
Started = tuple[Provider, Launch, Tree]


class Load(msgspec.Struct, frozen=True):
    """One load. `times` is of the capacity, 0 for what `callers` get that ask and wait.

    Those are `probed` as well where they are compared with a load, which always is.
    """

    name: str
    kept: bool
    times: float
    flood: bool = False
    callers: int = _CALLERS
    probed: bool = False


class Measured(msgspec.Struct, frozen=True):
    """`cpu`, `provider_cpu` are shares of a core, `other_cpu` everything else's on the machine.

    `beside` is what was answered in a second of the gateway's CPU time, as a part of what another
    gateway answered in one that was at its peak on the same core at the same time.
    """

    subject: str
    round: int
    load: Load
    capacity: float
    counts: OpenCounts
    cpu: float
    provider_cpu: float
    other_cpu: float
    beside: float | None = None

    @property
    def goodput(self) -> float:
        """Return how many requests were answered with success each second, flood or not."""
        return _goodput(self.counts)


def _goodput(counts: OpenCounts) -> float:
    return sum(
        source.answers[OK].rate
        for source in counts.sources
        if source.name != PROBE and OK in source.answers
    )


class OverloadResults(msgspec.Struct):
    machine: dict[str, str]
    measured: list[Measured] = []


def loads() -> list[Load]:
    found = []
    for kept in (True, False):
        how = "kept" if kept else "new"
        found += [Load(f"{how}, {times} x", kept, times) for times in LOADS]
        found.append(Load(f"{how}, flood", kept, LOADS[-1], flood=True))
    return found


def _capacity(*, kept: bool) -> Load:
    return Load(f"{'kept' if kept else 'new'}, capacity", kept, 0)


class OverloadSession:
    def __init__(
        self,
        subjects: Sequence[tuple[str, Path]],
        *,
        seconds: float,
        warm_up: float,
        out: Path,
        pin: bool,
        say: Callable[[str], None],
    ) -> None:
        """`subjects` are names and the checkouts to run."""
        raise_file_limit()
        self._subjects = subjects
        self._seconds = seconds
        self._warm_up = warm_up
        self._out = out
        self._say = say
        self._cores = pinning(pin)
        self.results = OverloadResults(machine())

    def run(self, rounds: int, chosen: Sequence[Load] | None = None) -> OverloadResults:
        """Measure everything `rounds` times. Raises `SubjectFailed`."""
        for number in range(1, rounds + 1):
            for load in chosen or loads():
                for name, home in self._subjects:
                    self._measure(name, home, load, number)
        return self.results

    def _measure(self, name: str, home: Path, load: Load, number: int) -> None:
        # What it can do is measured right before each load: a shared machine is faster or slower
        # by a half within minutes, and the load is to be a multiple of what it can do then.
        capacity = self._one(name, home, _capacity(kept=load.kept), 0.0, number)
        measured = self._one(name, home, load, capacity.goodput, number)
        if not load.flood:
            beside = self._beside(name, home, load)
            self._say(f"round {number}: {load.name}: {name}: {beside:.0%} of its peak beside")
            measured = msgspec.structs.replace(measured, beside=beside)
        self.results.measured += [capacity, measured]

    def _beside(self, name: str, home: Path, load: Load) -> float:
        """Return `Measured.beside`.

        Two gateways share the core, so that both are faster or slower by the same for whatever else
        the machine does: one after the other they differ by a half with nothing changed.
        """
        peak = _capacity(kept=load.kept)
        callers = _KEPT if load.kept else _CALLERS
        crowd = msgspec.structs.replace(peak, callers=callers, probed=True)
        with self._started(name, home) as loaded, self._started(f"{name}-peak", home) as other:
            alone = self._at_once((loaded, peak, 0.0), (other, peak, 0.0))
            both = self._at_once((loaded, load, alone[0][0]), (other, crowd, 0.0))
        (rate, cpu), (peak_rate, peak_cpu) = both
        return rate / cpu / (peak_rate / peak_cpu)

    def _at_once(self, *runs: tuple[Started, Load, float]) -> list[tuple[float, float]]:
        """Return the goodput and the share of a core of each."""
        with ThreadPoolExecutor(len(runs)) as threads:
            return list(threads.map(lambda run: self._cost(*run), runs))

    def _cost(self, started: Started, load: Load, capacity: float) -> tuple[float, float]:
        _, launch, tree = started
        marks: list[float] = []
        plan = self._plan(launch, load, capacity)
        counts = self._drive(plan, lambda: marks.append(tree.usage().cpu))
        if tree.popen.poll() is not None:
            raise SubjectFailed(f"{tree.name} has died:\n{tree.log_end()}")
        return _goodput(counts), (marks[1] - marks[0]) / self._seconds

    def _one(self, name: str, home: Path, load: Load, capacity: float, number: int) -> Measured:
        # A fresh gateway each time: what one load has left behind is not the next one's.
        with self._started(name, home) as (provider, launch, tree):
            before = (tree.usage().cpu, provider.tree.usage().cpu, machine_cpu())
            marks = [before]

            def mark() -> None:
                marks.append((tree.usage().cpu, provider.tree.usage().cpu, machine_cpu()))

            counts = self._drive(self._plan(launch, load, capacity), mark)
            if tree.popen.poll() is not None:
                raise SubjectFailed(f"{name} has died:\n{tree.log_end()}")
        used = [(end - begin) / self._seconds for begin, end in zip(*marks[1:3], strict=True)]
        own, provider_used, everything = used
        measured = Measured(
            subject=name,
            round=number,
            load=load,
            capacity=capacity,
            counts=counts,
            cpu=own,
            provider_cpu=provider_used,
            other_cpu=max(0.0, everything - own - provider_used - counts.cpu),
        )
        self._say(f"round {number}: {load.name}: {name}: {measured.goodput:.0f} answered/s")
        return measured

    def _plan(self, launch: Launch, load: Load, capacity: float) -> OpenPlan:
        body = SCENARIOS["nonstream"].body(launch.model, usage=False)

        def asks(number: int) -> str:
            return msgspec.structs.replace(launch, key=key(number)).request(body).decode()

        probe = f"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1:{launch.port}\r\n\r\n"
        sources = [Source(PROBE, [probe], 10.0, kept=False)]
        if not load.times:
            asked = Source(ASKED, [asks(1)], 0.0, load.kept, load.callers)
            sources = [*sources[: load.probed], asked]
        elif load.flood:
            # The other keys must get all of theirs, so it is less than there is.
            others = [asks(number) for number in range(1, KEYS)]
            sources.append(Source(OTHERS, others, 0.5 * capacity, load.kept, _KEPT))
            rate = load.times * capacity
            sources.append(Source(FLOOD, [asks(0)], rate, load.kept, FLOODERS))
        else:
            sources.append(Source(ASKED, [asks(1)], load.times * capacity, load.kept, _KEPT))
        return OpenPlan(launch.port, sources, self._warm_up, self._seconds, _GRACE)

    def _drive(self, plan: OpenPlan, mark: Callable[[], None]) -> OpenCounts:
        pipe = subprocess.PIPE
        argv = [sys.executable, "-m", "bench.overload.load"]
        client = Tree.start(
            "load", argv, core=self._cores.harness, cwd=ROOT, stdin=pipe, stdout=pipe
        )
        try:
            stdin, stdout = client.popen.stdin, client.popen.stdout
            assert stdin is not None
            assert stdout is not None
            stdin.write(msgspec.json.encode(plan))
            stdin.close()
            for word in (b"open\n", b"close\n"):
                if stdout.readline() != word:
                    raise RuntimeError("the load client has failed, see its output above")
                mark()
            return msgspec.json.decode(stdout.readline(), type=OpenCounts)
        finally:
            client.stop()

    @contextlib.contextmanager
    def _started(self, name: str, home: Path) -> Iterator[Started]:
        directory = self._out / name
        directory.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            provider = Provider(self._cores)
            stack.callback(provider.tree.stop)
            launch = launch_of(provider.port, directory, home)
            tree = Tree.start(
                name,
                launch.argv,
                core=self._cores.subject,
                log=directory / "output.log",
                cwd=launch.cwd,
            )
            stack.callback(tree.stop)
            body = SCENARIOS["nonstream"].body(launch.model, usage=False)
            deadline = time.monotonic() + _START_SECONDS
            while not answers(launch, body):
                if tree.popen.poll() is not None or time.monotonic() > deadline:
                    raise SubjectFailed(f"{name} answers no request:\n{tree.log_end()}")
                time.sleep(0.02)
            yield provider, launch, tree
