"""`python -m bench [run|compare|overload|scale|dashboard|translated]`: see README.md."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec
from cyclopts import App, Parameter
from rich.console import Console

from . import chart, litellm, report
from . import translated as pairs
from .check import WrongAnswer
from .compare import Session, SubjectFailed
from .dashboard.session import DashboardSession
from .dashboard.session import show as show_dashboard
from .external import BadSubject, externals
from .measure import Settings
from .overload import plot
from .overload import report as overload_report
from .overload.session import OverloadSession
from .scale import plot as scale_plot
from .scale import report as scale_report
from .scale.session import WORKERS, ScaleSession
from .scenarios import SCENARIOS
from .subjects import DIRECT, SUBJECTS

app = App(name="python -m bench", help=__doc__)
# Wide enough for the tables where no terminal sets the width.
_console = Console(width=None if sys.stdout.isatty() else 150)
# Written out, because `--help` and type checkers read them; a test holds them to the tables.
ScenarioName = Literal["nonstream", "burst", "paced64", "paced256", "paced1000"]

_RESULTS: Final = Path(__file__).parent / "results"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """How much to measure, and where to.

    Parameters
    ----------
    scenario
        One of nonstream, burst, paced64, paced256, paced1000; again for more. Default all.
    subject
        One of direct, hypercorn, gateway, previous, litellm; again for more. `previous` is another
        checkout, in the directory that the environment variable BENCH_PREVIOUS names. Or
        NAME=COMMAND for any other gateway; in the command {port} is where it is to listen and
        {provider} the URL of the provider, see bench/external.py.
    model
        NAME=MODEL for what such a gateway is asked for, if not the provider's own fake-model.
    rounds
        How often everything is measured; medians are shown.
    seconds
        How long one measurement counts.
    requests
        End a measurement after so many answered requests; 0 for no limit.
    warm_up
        Seconds of load before counting, after all connections have started.
    usage
        Let clients ask for usage in streams.
    pin
        Give the subject a core for itself; load client and provider share another.
    profile
        Then record flame graphs of the gateway with py-spy.
    out
        The directory for results; a new one under bench/results by default.
    """

    scenario: list[ScenarioName] = field(default_factory=list)
    subject: list[str] = field(default_factory=list)
    model: list[str] = field(default_factory=list)
    rounds: int = 1
    seconds: float = 8.0
    requests: int = 0
    warm_up: float = 2.0
    usage: bool = False
    pin: bool = True
    profile: bool = False
    out: Path | None = None


_DEFAULTS: Final = Options()


@app.command
@app.default
def run(options: Options = _DEFAULTS) -> int:
    """Measure the gateway, with the direct connection beside it."""
    return _measure(options, [DIRECT, "gateway"])


@app.command
def compare(options: Options = _DEFAULTS) -> int:
    """Measure direct connection, bare Hypercorn, gateway and LiteLLM in turn; print ratios."""
    return _measure(options, [each for each in SUBJECTS if each != "previous"])


@app.command
def overload(
    *,
    previous: bool = False,
    rounds: int = 1,
    seconds: float = 8.0,
    warm_up: float = 2.0,
    pin: bool = True,
    out: Path | None = None,
) -> int:
    """Ask one, two and five times of what the gateway can do, at a constant rate.

    Parameters
    ----------
    previous
        Also measure the checkout that the environment variable BENCH_PREVIOUS names.
    rounds
        How often everything is measured; medians are shown.
    seconds
        How long one measurement counts.
    warm_up
        Seconds of load before counting.
    pin
        Give the gateway a core for itself; load client and provider share another.
    out
        The directory for results; a new one under bench/results by default.
    """
    subjects = [("gateway", Path(__file__).parent.parent)]
    if previous:
        home = os.environ.get("BENCH_PREVIOUS")
        if not home:
            _console.print("[red]set BENCH_PREVIOUS to the directory of the other checkout[/]")
            return 1
        subjects.insert(0, ("previous", Path(home).resolve()))
    directory = _directory(out)
    session = OverloadSession(
        subjects, seconds=seconds, warm_up=warm_up, out=directory, pin=pin, say=_say
    )
    try:
        results = session.run(rounds)
    except SubjectFailed as failure:
        _console.print(f"[red]{failure}[/]", highlight=False)
        return 1
    overload_report.show(results, _console)
    overload_report.write_json(results, directory / "overload.json")
    try:
        plot.draw(results, directory / "overload.svg")
    except ImportError as missing:
        _console.print(f"no chart: {missing}")
    _console.print(f"results in {directory}")
    return 0


@app.command
def scale(
    *,
    workers: list[int] | None = None,
    rounds: int = 1,
    seconds: float = 8.0,
    warm_up: float = 2.0,
    out: Path | None = None,
) -> int:
    """Measure 1, 2 and 4 workers, with limits that the supervisor or a state server keeps.

    Parameters
    ----------
    workers
        How many workers; again for more. Default 1, 2 and 4.
    rounds
        How often everything is measured; medians are shown.
    seconds
        How long one measurement counts.
    warm_up
        Seconds of load before counting.
    out
        The directory for results; a new one under bench/results by default.
    """
    directory = _directory(out)
    session = ScaleSession(seconds=seconds, warm_up=warm_up, out=directory, say=_say)
    try:
        results = session.run(rounds, workers or WORKERS)
    except SubjectFailed as failure:
        _console.print(f"[red]{failure}[/]", highlight=False)
        return 1
    scale_report.show(results, _console)
    scale_report.write_json(results, directory / "scale.json")
    try:
        scale_plot.draw(results, directory / "scale.svg")
    except ImportError as missing:
        _console.print(f"no chart: {missing}")
    _console.print(f"results in {directory}")
    return 0


@app.command
def dashboard(
    *,
    rounds: int = 3,
    seconds: float = 8.0,
    warm_up: float = 2.0,
    rows: int = 1_000_000,
    pin: bool = True,
    one_core: bool = False,
    threads: bool = False,
    out: Path | None = None,
) -> int:
    """Measure requests for models while twelve pages are open and four people go through them.

    Parameters
    ----------
    rounds
        How often everything is measured, quiet and busy in turn; medians are shown.
    seconds
        How long one measurement counts.
    warm_up
        Seconds of load before counting.
    rows
        Requests that are on record before it begins.
    pin
        Give the gateway a core for itself; everything else shares another.
    one_core
        Keep the process that makes pages on the gateway's core, too.
    threads
        Have pages made by threads of the gateway instead (`page_process = false`).
    out
        The directory for results; a new one under bench/results by default.
    """
    directory = _directory(out)
    chosen = [SCENARIOS[name] for name in ("nonstream", "paced64")]
    settings = Settings(seconds, 0, warm_up)
    session = DashboardSession(
        chosen,
        settings,
        rows=rows,
        out=directory,
        pin=pin,
        one_core=one_core,
        threads=threads,
        say=_say,
    )
    try:
        results = session.run(rounds)
    except SubjectFailed as failure:
        _console.print(f"[red]{failure}[/]", highlight=False)
        return 1
    show_dashboard(results, _console)
    (directory / "dashboard.json").write_bytes(msgspec.json.encode(results))
    _console.print(f"results in {directory}")
    return 0


@app.command
def translated(
    *, rounds: int = 5, requests: int = 100, pin: bool = True, out: Path | None = None
) -> int:
    """Measure what an event costs for callers of each API on providers of each: 49 pairs.

    Parameters
    ----------
    rounds
        How often everything is measured, all pairs in turn; medians are shown.
    requests
        How many streams of 200 events make one measurement.
    pin
        Give the gateway a core for itself.
    out
        The directory for results; a new one under bench/results by default.
    """
    directory = _directory(out)
    core = pairs.cores() if pin else None
    try:
        found = pairs.measure(directory, rounds=rounds, requests=requests, core=core, say=_say)
    except pairs.WrongStream as wrong:
        _console.print(f"[red]{wrong}[/]", highlight=False)
        return 1
    pairs.show(found, _console)
    (directory / "translated.json").write_bytes(msgspec.json.encode(found))
    _console.print(f"results in {directory}")
    return 0


@app.command
def install_litellm() -> None:
    """Install LiteLLM into bench/.venv-litellm, anew if it is there."""
    _console.print(f"installing litellm {litellm.VERSION} into {litellm.HOME.name} ...")
    litellm.install()


def _say(line: str) -> None:
    _console.print(f"{time.strftime('%H:%M:%S')} {line}", highlight=False)


def _directory(out: Path | None) -> Path:
    """Return the directory for results, and make it."""
    directory = (out or _RESULTS / time.strftime("%Y%m%d-%H%M%S")).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _measure(options: Options, usual: Sequence[str]) -> int:
    try:
        given = externals(options.subject, options.model)
    except BadSubject as bad:
        _console.print(f"[red]--subject {bad}[/]", highlight=False)
        return 2
    named = [each for each in options.subject if "=" not in each]
    if unknown := [each for each in named if each not in SUBJECTS]:
        _console.print(
            f"[red]--subject {unknown[0]}: one of {', '.join(SUBJECTS)}, or NAME=COMMAND[/]"
        )
        return 2
    # Other gateways are compared with this one, whether that is said or not.
    subjects = [*(named or ([DIRECT, "gateway"] if given else usual)), *given]
    if "previous" in subjects and not os.environ.get("BENCH_PREVIOUS"):
        _console.print("[red]set BENCH_PREVIOUS to the directory of the other checkout[/]")
        return 1
    if "litellm" in subjects and not litellm.installed():
        install_litellm()
    out = _directory(options.out)
    settings = Settings(options.seconds, options.requests, options.warm_up, options.usage)
    scenarios = [SCENARIOS[name] for name in options.scenario] or list(SCENARIOS.values())
    session = Session(
        subjects, scenarios, settings, out=out, pin=options.pin, say=_say, externals=given
    )
    try:
        results = session.run(options.rounds)
        report.show(results, _console)
        report.write_json(results, out / "results.json")
        if options.profile and "gateway" in subjects:
            session.profile("gateway")
    except (SubjectFailed, WrongAnswer) as failure:
        _console.print(f"[red]{failure}[/]", highlight=False)
        return 1
    try:
        chart.draw(results, out / "chart.svg")
    except ImportError as missing:
        _console.print(f"no chart: {missing}")
    _console.print(f"results in {out}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(app())
    except subprocess.CalledProcessError as failure:
        sys.exit(f"failed: {failure}")
