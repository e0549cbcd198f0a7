"""The gateway under each load, quiet and with a busy dashboard in turn, again and again.

It is the same process all the time, with a database that is full of requests. So what differs
between two measurements that follow each other is the dashboard, and the machine's noise, which
the quiet measurements among each other show. CPU is that of the process that serves, which does
all that requests wait for. The one that makes pages works where a machine with a core to spare
lets it: beside the harness, or, if it is to be so, on the one core that the gateway has.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from ..check import answers
from ..compare import SubjectFailed, machine, pinning, raise_file_limit
from ..measure import ROOT, Cores, Provider, Settings, measure
from ..results import Results, row
from ..scenarios import SCENARIOS, Scenario
from ..store_queries import prepare
from ..subjects import PREPARE, Launch, free_port
from ..tree import Tree, Usage
from .plan import CrowdCounts, CrowdPlan

QUIET: Final = "quiet"
BUSY: Final = "busy"
_START_SECONDS: Final = 60.0
# Thirty pieces of work start the process that makes pages, which takes a second or two of CPU.
_CROWD_SECONDS: Final = 8.0
_ADMIN: Final = "sk-bench-admin-0123456789abcdef0123456789"
_ADMINS: Final = """
[[admins]]
name = "bench"
key = "{key}"
scopes = ["admin"]

[store]
url = "{url}"
"""


class DashboardResults(msgspec.Struct):
    """`samples` of the subjects `quiet` and `busy`, and what the crowd got in each busy one."""

    measured: Results
    crowds: list[CrowdCounts] = []


class DashboardSession:
    def __init__(
        self,
        scenarios: Sequence[Scenario],
        settings: Settings,
        *,
        rows: int,
        out: Path,
        pin: bool,
        one_core: bool,
        threads: bool,
        ahead: float = _CROWD_SECONDS,
        say: Callable[[str], None],
    ) -> None:
        """`rows` are the requests on record before it begins.

        `one_core` keeps all of the gateway on one core, the process that makes pages included;
        with `threads` there is none, and the process that serves makes them itself. People are
        on the dashboard `ahead` seconds before it counts.
        """
        raise_file_limit()
        self._scenarios = scenarios
        self._settings = settings
        self._rows = rows
        self._out = out
        self._say = say
        self._cores = pinning(pin)
        self._one_core = one_core
        self._threads = threads
        self._ahead = ahead
        self.results = DashboardResults(Results(machine(), []))

    def run(self, rounds: int) -> DashboardResults:
        """Measure everything `rounds` times. Raises `SubjectFailed`."""
        with self._started() as (provider, launch, tree):
            for number in range(1, rounds + 1):
                for scenario in self._scenarios:
                    self._one(QUIET, launch, tree, provider, scenario, number)
                    with self._crowd(launch):
                        self._one(BUSY, launch, tree, provider, scenario, number)
        return self.results

    def _one(
        self,
        name: str,
        launch: Launch,
        tree: ServingTree,
        provider: Provider,
        scenario: Scenario,
        number: int,
    ) -> None:
        if not self._one_core:
            tree.pin(self._cores.harness, children_only=True)
        sample = measure(launch, tree, provider, scenario, self._settings, self._cores, number)
        if tree.popen.poll() is not None:
            raise SubjectFailed(f"the gateway has died:\n{tree.log_end()}")
        self.results.measured.samples.append(msgspec.structs.replace(sample, subject=name))
        self._say(f"round {number}: {scenario.name}: {name}: {sample.rate:.0f} {scenario.unit}s/s")

    @contextmanager
    def _crowd(self, launch: Launch) -> Iterator[None]:
        plan = msgspec.json.encode(CrowdPlan(launch.port, _ADMIN)).decode()
        argv = [sys.executable, "-m", "bench.dashboard.crowd", plan]
        pipe = subprocess.PIPE
        crowd = Tree.start(
            "crowd", argv, core=self._cores.harness, cwd=ROOT, stdin=pipe, stdout=pipe
        )
        try:
            # Pages stay in threads until enough of them were looked at, and the process starts.
            time.sleep(self._ahead)
            yield
            said, _ = crowd.popen.communicate(timeout=30)
            self.results.crowds.append(msgspec.json.decode(said, type=CrowdCounts))
        finally:
            crowd.stop()

    @contextmanager
    def _started(self) -> Iterator[tuple[Provider, Launch, ServingTree]]:
        directory = self._out / "gateway"
        directory.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{directory}/bench.db"
        prepare(url, self._rows, Console(stderr=True)).close()
        provider = Provider(self._cores)
        try:
            launch = PREPARE["gateway"](free_port(), provider.port, directory)
            config = directory / "gateway.toml"
            text = config.read_text() + _ADMINS.format(key=_ADMIN, url=url)
            config.write_text(text + "[admin]\npage_process = false\n" * self._threads)
            tree = _start(launch, directory, self._cores)
            try:
                _wait(launch, tree)
                yield provider, launch, tree
            finally:
                tree.stop()
        finally:
            provider.tree.stop()


class ServingTree(Tree):
    """The gateway, of which only the process that serves is measured."""

    def usage(self) -> Usage:
        times = self._root.cpu_times()
        return Usage(times.user + times.system, self._root.memory_info().rss)


def _start(launch: Launch, directory: Path, cores: Cores) -> ServingTree:
    log = directory / "output.log"
    return ServingTree.start(
        "gateway", launch.argv, core=cores.subject, log=log, env=launch.env, cwd=launch.cwd
    )


def _wait(launch: Launch, tree: Tree) -> None:
    body = SCENARIOS["nonstream"].body(launch.model, usage=False)
    deadline = time.monotonic() + _START_SECONDS
    while not answers(launch, body):
        if tree.popen.poll() is not None or time.monotonic() > deadline:
            raise SubjectFailed(f"the gateway answers no request:\n{tree.log_end()}")
        time.sleep(0.02)


def show(results: DashboardResults, console: Console) -> None:
    """Print what was measured, busy beside quiet."""
    table = Table(title="Requests for models, with the dashboard quiet and busy")
    names = ("load", "dashboard", "a second", "CPU µs each", "p50 ms", "p99 ms", "core", "errors")
    for name in names:
        table.add_column(name, justify="left" if name in names[:2] else "right")
    for scenario in results.measured.scenarios():
        for subject in (QUIET, BUSY):
            found = row(results.measured, scenario, subject)
            rates = sorted(each.rate for each in results.measured.of(scenario, subject))
            delay = found.delay or (0.0, 0.0)
            table.add_row(
                scenario,
                subject,
                f"{rates[len(rates) // 2]:,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f})",
                f"{found.cost or 0:.1f}",
                *(f"{each / 1000:.1f}" for each in delay),
                f"{found.busy[0]:.0%}",
                str(sum(found.errors.values())),
            )
    console.print(table)
    for crowd in results.crowds:
        console.print(
            f"crowd: {crowd.pages} pages, p50 {crowd.p50_ms:.0f} ms, p95 {crowd.p95_ms:.0f} ms; "
            f"{crowd.events} events on open pages; errors: {crowd.errors or 'none'}",
            highlight=False,
        )
