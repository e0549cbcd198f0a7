"""Each number of workers with each place for limits, in turn, round after round.

First callers ask again as soon as they are answered, which shows what there is at most. Then one
key is asked for more than its limit at a constant rate, and what got through is compared with what
was due: a full bucket, and what ran into it meanwhile. A fresh gateway each time.

Nothing is pinned to cores: workers are to use all that there are, and the load client and the
provider need some as well. So what counts is what a second of the gateway's CPU time answers.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ..check import answers
from ..compare import SubjectFailed, machine, raise_file_limit
from ..measure import ROOT, Cores, Provider, machine_cpu
from ..overload.plan import OK, OpenCounts, OpenPlan, Source
from ..scenarios import SCENARIOS
from ..subjects import Launch
from ..tree import Tree
from .gateway import LIMITED, RPM, launch_of, state_at, state_server

WORKERS: Final = (1, 2, 4)
ALONE: Final = "one process"
LOCAL: Final = "supervisor"
SHARED: Final = "state server"
ASKED: Final = "asked"
# Enough for all workers to be busy all the time.
_CALLERS: Final = 64
# Requests a second to the limited key: so many times what it may have, with its bucket.
_OVER: Final = 3.0
_KEPT: Final = 100
_GRACE: Final = 20.0
_START_SECONDS: Final = 60.0


class Setup(msgspec.Struct, frozen=True):
    """`limits` says where they are; `workers` is 0 for a process without a supervisor."""

    limits: str
    workers: int


class ScaleMeasured(msgspec.Struct, frozen=True):
    """Rates are a second, waits milliseconds; `cpu` and `other_cpu` are shares of a core.

    `let_through` of `due` requests were let through to the key that is at its limit, and `refused`
    were not: without any the machine was too slow for the limit to be reached.
    """

    setup: Setup
    round: int
    rate: float
    p50: float
    p99: float
    cpu: float
    harness_cpu: float
    other_cpu: float
    rss: int
    let_through: int
    refused: int
    due: float
    faults: dict[str, int]

    @property
    def per_core(self) -> float:
        """Return how many requests a second of CPU time answers."""
        return self.rate / self.cpu if self.cpu else 0.0

    @property
    def off(self) -> float | None:
        """Return by which part too much (or, negative, too little) was let through."""
        return self.let_through / self.due - 1.0 if self.refused else None


class ScaleResults(msgspec.Struct):
    machine: dict[str, str]
    measured: list[ScaleMeasured] = []


def setups(workers: Sequence[int], *, shared: bool) -> list[Setup]:
    places = (LOCAL, SHARED) if shared else (LOCAL,)
    return [Setup(ALONE, 0)] + [Setup(place, count) for place in places for count in workers]


class ScaleSession:
    def __init__(
        self, *, seconds: float, warm_up: float, out: Path, say: Callable[[str], None]
    ) -> None:
        raise_file_limit()
        self._seconds = seconds
        self._warm_up = warm_up
        self._out = out
        self._say = say
        self.results = ScaleResults(machine())

    def run(self, rounds: int, workers: Sequence[int] = WORKERS) -> ScaleResults:
        """Measure everything `rounds` times. Raises `SubjectFailed`."""
        shared = state_server() is not None
        if not shared:
            self._say("no valkey-server and no redis-server: without a state server")
        for number in range(1, rounds + 1):
            for setup in setups(workers, shared=shared):
                measured = self._one(setup, number)
                self.results.measured.append(measured)
                self._say(
                    f"round {number}: {setup.limits}, {setup.workers or 'no'} workers: "
                    f"{measured.rate:.0f}/s, {measured.per_core:.0f} per CPU second, "
                    f"p99 {measured.p99:.0f} ms, limit {off_by(measured.off)}"
                )
        return self.results

    def _one(self, setup: Setup, number: int) -> ScaleMeasured:
        with self._started(setup) as (provider, launch, tree):
            marks: list[tuple[float, float, float]] = []

            def mark() -> None:
                marks.append((tree.usage().cpu, provider.tree.usage().cpu, machine_cpu()))

            asks = launch.request(SCENARIOS["nonstream"].body(launch.model, usage=False)).decode()
            most = self._drive(
                launch, Source(ASKED, [asks], 0.0, kept=True, connections=_CALLERS), mark
            )
            rss = tree.usage().rss
            (own, provided, everything) = (
                (after - before) / self._seconds for before, after in zip(*marks, strict=True)
            )
            limited = asks.replace(launch.key, LIMITED)
            # It begins with its bucket full, so nothing may be asked before it counts.
            due = RPM + RPM / 60 * self._seconds
            over = Source(
                ASKED, [limited], _OVER * due / self._seconds, kept=True, connections=_KEPT
            )
            counts = self._drive(launch, over, lambda: None, warm_up=0.0)
            decided = counts.of(ASKED).answers
            refused = decided.get("429")
            if refused is not None:
                # What was asked for last was decided that much later, and there was more by then.
                due += RPM / 60 * refused.p50 / 1000
            if tree.popen.poll() is not None:
                raise SubjectFailed(f"the gateway has died:\n{tree.log_end()}")
        good = most.of(ASKED).answers.get(OK)
        if good is None:
            raise SubjectFailed(f"no answer, but {most.of(ASKED).answers}")
        let = decided.get(OK)
        return ScaleMeasured(
            setup=setup,
            round=number,
            rate=good.rate,
            p50=good.p50,
            p99=good.p99,
            cpu=own,
            harness_cpu=most.cpu + provided,
            other_cpu=max(0.0, everything - own - provided - most.cpu),
            rss=rss,
            let_through=let.count if let is not None else 0,
            refused=refused.count if refused is not None else 0,
            due=due,
            faults=_faults(most, {OK}) | _faults(counts, {OK, "429"}),
        )

    def _drive(
        self,
        launch: Launch,
        source: Source,
        mark: Callable[[], None],
        warm_up: float | None = None,
    ) -> OpenCounts:
        warm = self._warm_up if warm_up is None else warm_up
        plan = OpenPlan(launch.port, [source], warm, self._seconds, _GRACE)
        pipe = subprocess.PIPE
        argv = [sys.executable, "-m", "bench.overload.load"]
        client = Tree.start("load", argv, core=None, cwd=ROOT, stdin=pipe, stdout=pipe)
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
    def _started(self, setup: Setup) -> Iterator[tuple[Provider, Launch, Tree]]:
        directory = self._out / f"{setup.limits.replace(' ', '-')}-{setup.workers}"
        directory.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            provider = Provider(Cores())
            stack.callback(provider.tree.stop)
            url = ""
            if setup.limits == SHARED:
                program = state_server()
                assert program is not None
                url = stack.enter_context(state_at(program, directory))
            launch = launch_of(provider.port, directory, setup.workers or None, url)
            tree = Tree.start(
                "gateway",
                launch.argv,
                core=None,
                log=directory / "output.log",
                cwd=launch.cwd,
            )
            stack.callback(tree.stop)
            body = SCENARIOS["nonstream"].body(launch.model, usage=False)
            deadline = time.monotonic() + _START_SECONDS
            # Each worker is there once the supervisor has as many children, and one answers.
            while len(tree.processes()) <= setup.workers or not answers(launch, body):
                if tree.popen.poll() is not None or time.monotonic() > deadline:
                    raise SubjectFailed(f"the gateway answers no request:\n{tree.log_end()}")
                time.sleep(0.05)
            # The others become ready within the time that one of them took.
            time.sleep(self._warm_up)
            yield provider, launch, tree


def off_by(off: float | None) -> str:
    """Return how exactly a limit was kept, in words."""
    return "not reached" if off is None else f"off by {off:+.2%}"


def _faults(counts: OpenCounts, expected: set[str]) -> dict[str, int]:
    """Return what came in the place of answers."""
    found = counts.of(ASKED).answers
    return {what: waits.count for what, waits in found.items() if what not in expected}
