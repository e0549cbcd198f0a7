"""One session: every subject under every scenario, in turn, round after round.

The order is A B C, A B C, ... within each scenario, so that a machine that grows slower does so for
all of them. Subjects run side by side but only one at a time: the others are stopped by signal
and cost nothing. Each round starts them anew, which is also where start-up is measured.
"""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import msgspec

from . import litellm
from .check import answers, verify
from .external import External, as_it_answers
from .measure import Cores, Provider, Settings, drive, measure
from .results import Results, StartUp
from .scenarios import SCENARIOS, Scenario
from .subjects import DIRECT, PREPARE, Launch, direct, free_port
from .tree import Tree

# LiteLLM takes some ten seconds; a machine under other load may take several times that.
_START_SECONDS: Final = 120.0


class SubjectFailed(Exception):
    """A subject did not start, or died; says what it printed last."""


class Running(msgspec.Struct, frozen=True):
    launch: Launch
    tree: Tree


class Session:
    def __init__(
        self,
        subjects: Sequence[str],
        scenarios: Sequence[Scenario],
        settings: Settings,
        *,
        out: Path,
        pin: bool,
        say: Callable[[str], None],
        externals: Mapping[str, External] | None = None,
    ) -> None:
        """`externals` are those of the `subjects` that are given by a command."""
        raise_file_limit()
        self._externals = externals or {}
        self._subjects = subjects
        self._scenarios = scenarios
        self._settings = settings
        self._out = out
        self._say = say
        self._cores = pinning(pin)
        self._round = 0
        self.results = Results(machine(), self._notes())

    def run(self, rounds: int) -> Results:
        """Measure everything `rounds` times. Raises `SubjectFailed` and `WrongAnswer`."""
        for self._round in range(1, rounds + 1):
            with self._started() as (provider, running):
                for scenario in self._scenarios:
                    for name, one in running.items():
                        self._one(name, one, provider, scenario)
        return self.results

    def profile(self, subject: str) -> None:
        """Record flame graphs of `subject`, in runs that are not counted (py-spy slows it)."""
        program = shutil.which("py-spy", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        if program is None:
            raise SubjectFailed("py-spy is not installed: it is in the dependency group `bench`")
        with self._started([subject]) as (provider, running):
            one = running[subject]
            for scenario in self._scenarios:
                chart = self._out / f"profile-{subject}-{scenario.name}.svg"
                self._say(f"profile: {scenario.name}: {chart.name}")
                with self._turn(one.tree):
                    self._record(program, one, scenario, chart)
                    provider.settle()

    # One subject at a time...

    def _one(self, name: str, one: Running, provider: Provider, scenario: Scenario) -> None:
        own_turn = name == DIRECT
        with contextlib.ExitStack() as stack:
            if own_turn:
                one.tree.pin(self._cores.subject)
                stack.callback(one.tree.pin, self._cores.harness)
            else:
                stack.enter_context(self._turn(one.tree))
            if self._round == 1:
                verify(one.launch, scenario, usage=self._settings.usage)
            sample = measure(
                one.launch, one.tree, provider, scenario, self._settings, self._cores, self._round
            )
            if one.tree.popen.poll() is not None:
                raise SubjectFailed(f"{name} has died:\n{one.tree.log_end()}")
        self.results.samples.append(sample)
        cost = "no answers" if sample.cost is None else f"{sample.cost:.1f} µs"
        errors = f", errors: {sample.counted.errors}" if sample.counted.errors else ""
        self._say(
            f"round {self._round}: {scenario.name}: {name}: {sample.rate:.0f} {scenario.unit}s/s, "
            f"{cost} CPU per {scenario.unit}{errors}"
        )

    @contextlib.contextmanager
    def _started(
        self, subjects: Sequence[str] | None = None
    ) -> Iterator[tuple[Provider, dict[str, Running]]]:
        with contextlib.ExitStack() as stack:
            provider = Provider(self._cores)
            stack.callback(provider.tree.stop)
            running: dict[str, Running] = {}
            for name in subjects or self._subjects:
                if name == DIRECT:
                    tree = Tree(name, provider.tree.popen, None)
                    running[name] = Running(direct(provider.port), tree)
                    continue
                directory = self._out / name
                directory.mkdir(parents=True, exist_ok=True)
                external = self._externals.get(name)
                prepare = PREPARE[name] if external is None else external.launch
                launch = prepare(free_port(), provider.port, directory)
                tree = self._start(name, launch, directory, stack)
                if external is not None:
                    body = SCENARIOS["nonstream"].body(launch.model, usage=False)
                    with self._turn(tree):
                        launch = as_it_answers(launch, body)
                running[name] = Running(launch, tree)
            yield provider, running

    def _start(
        self, name: str, launch: Launch, directory: Path, stack: contextlib.ExitStack
    ) -> Tree:
        began = time.monotonic()
        tree = Tree.start(
            name,
            launch.argv,
            core=self._cores.subject,
            log=directory / "output.log",
            env=launch.env,
            cwd=launch.cwd,
        )
        stack.callback(tree.stop)
        body = SCENARIOS["nonstream"].body(launch.model, usage=False)
        while not answers(launch, body):
            if tree.popen.poll() is not None:
                raise SubjectFailed(f"{name} did not start:\n{tree.log_end()}")
            if time.monotonic() - began > _START_SECONDS:
                raise SubjectFailed(f"{name} answers no request:\n{tree.log_end()}")
            time.sleep(0.005)
        start = StartUp(name, self._round, time.monotonic() - began, tree.usage().rss)
        self.results.start_ups.append(start)
        self._say(f"round {self._round}: {name} answers after {start.seconds:.2f} s")
        tree.pause()
        return tree

    @contextlib.contextmanager
    def _turn(self, tree: Tree) -> Iterator[None]:
        tree.resume()
        try:
            yield
        finally:
            tree.pause()

    def _record(self, program: str, one: Running, scenario: Scenario, chart: Path) -> None:
        spies: list[subprocess.Popen[bytes]] = []
        duration = str(max(1, int(self._settings.seconds)))
        pid = str(one.tree.popen.pid)
        arguments = ["--pid", pid, "--duration", duration, "--rate", "250", "--subprocesses"]

        def mark(load: Tree) -> None:
            del load
            if not spies:
                argv = [program, "record", *arguments, "--output", str(chart)]
                spies.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL))

        drive(one.launch, scenario, self._settings, self._cores.harness, mark=mark)
        for spy in spies:
            spy.wait()

    def _notes(self) -> list[str]:
        settings, cores = self._settings, self._cores
        pinned = (
            f"subject pinned to core {cores.subject}, load client and provider to {cores.harness}"
            if cores.subject is not None
            else "processes not pinned to cores"
        )
        until = f" or {settings.requests} requests" if settings.requests else ""
        notes = [
            f"{pinned}; {settings.warm_up:g} s warm-up, then counted for {settings.seconds:g} s"
            + until,
            "clients ask for usage in streams" if settings.usage else "clients ask for no usage",
        ]
        if "gateway" in self._subjects:
            notes.append("gateway: key checked, one log line per request, to a regular file")
        notes += [f"{each.name}: {each.command}" for each in self._externals.values()]
        if "litellm" in self._subjects:
            notes.append(f"{litellm.note()}; key checked, one worker, no database, no access log")
        return notes


def pinning(pin: bool) -> Cores:
    usable = sorted(os.sched_getaffinity(0))
    if not pin or len(usable) < 2:
        return Cores()
    return Cores(subject=usable[0], harness=usable[1])


def raise_file_limit() -> None:
    # A thousand streams are two thousand sockets in a gateway. Children inherit the limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def machine() -> dict[str, str]:
    found = {
        "time": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
    }
    for package in ("trio-gateway", "hypercorn", "trio", "h11", "msgspec"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
