"""What holds for all tests: how much is drawn at random, and by which clock they run."""

from __future__ import annotations

import functools
import gc
import inspect
import itertools
import os
import signal
import types
from collections.abc import Generator, Iterator
from typing import Final

import pytest
import structlog
from hypothesis import HealthCheck, settings

from . import fair_clock
from .cases import joined
from .fork_server.popen import end_fork_server
from .late import Late, load_for
from .postgres import PostgresServer
from .rounds import rounds
from .valkey import NoValkey, ValkeyServer
from .workers import Cases, count_repetitions_here, repeats, tell_results_only

# Neither how long an example takes nor how long drawing it takes says anything while others use
# the processor too; how long a test takes is pytest-timeout's to say.
settings.register_profile(
    "gateway",
    max_examples=rounds(20, 300),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("gateway")

# What is logged is shown when a test fails. By default structlog draws tracebacks with all local
# variables, which takes seconds for one.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.set_exc_info,
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)


# After how many new objects the garbage collector looks at them. With Python's 700 it takes a
# quarter of the time of a worker that has loaded SDKs (8 of 33 s), and now a twentieth.
GARBAGE_AFTER: Final = 10_000

# How often a measurement that failed is repeated: what is measured of a machine is also what others
# do with it at that moment, and they do not do it three times.
REPEATED: Final = 2

# How often any other test that failed is repeated. Of 14,000 tests beside each other, many with
# processes of their own, one that fails once in 100,000 times would refuse each seventh change.
# What went wrong is shown at the end (`pytest_terminal_summary`), and a soak repeats none.
REPEATED_OTHERWISE: Final = rounds(1, 0)


def repetitions(item: pytest.Item) -> int:
    return REPEATED if item.get_closest_marker("measured") else REPEATED_OTHERWISE


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep ten thousand tests out of the garbage collector's sight.

    They are there until the end, and each of hundreds of full collections would look at them.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        gc.set_threshold(GARBAGE_AFTER)


class Marks:
    """A plugin of its own, whose marks are there before `-m` chooses among the tests."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        for item in items:
            if isinstance(item, pytest.Function) and (_wants_postgres(item) or _wants_sdk(item)):
                item.add_marker(pytest.mark.slow)
            if repeats(config):
                item.add_marker(pytest.mark.flaky(reruns=repetitions(item)))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Marks())
    config.pluginmanager.register(Cases())
    _heed_signals()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    count_repetitions_here(session.config)
    tell_results_only(session.config)


def _heed_signals() -> None:
    """Have signals do what they do for a person, also where they were ignored at the start.

    Who runs the tests in the background may have them ignored (POSIX shells do so with SIGINT and
    SIGQUIT, nohup with SIGHUP), and a child process keeps that over execve(2).
    """
    for each in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(each) == signal.SIG_IGN:
            usual = signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL
            signal.signal(each, usual)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = joined(items)
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.add_marker(pytest.mark.trio(run=fair_clock.run))
    items[:] = _slow_ones_first(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def _slow_ones_first(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Return the tests so that each worker begins with its share of those that take long.

    pytest-xdist gives each worker an equal part of the list. At the end, when there is nothing to
    take over from another worker, only short ones should be left. A browser, and the gateway that
    its pages are of, take seconds to start: two workers have all tests that use them. What
    `test_architecture.py` reads of all modules takes seconds too: one worker has all of it.
    """
    if workers == 1:
        return items
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    slow, quick = [], []
    for item in items:
        if _in_browser(item):
            own_gateway = item.path.name == "test_init.py"
            shares[own_gateway].append(item)
        elif item.path.name == "test_architecture.py":
            shares[-1].append(item)
        elif item.get_closest_marker("slow"):
            slow.append(item)
        else:
            quick.append(item)
    for number, share in enumerate(shares):
        share.extend(slow[len(slow) * number // workers : len(slow) * (number + 1) // workers])
    ends = [len(items) * (number + 1) // workers for number in range(workers)]
    rest = iter(quick)
    for share, begin, end in zip(shares, [0, *ends], ends, strict=False):
        share.extend(itertools.islice(rest, max(0, end - begin - len(share))))
    return [*itertools.chain(*shares), *rest]


def _in_browser(item: pytest.Item) -> bool:
    return "browser" in getattr(item, "fixturenames", ())


def _wants_postgres(item: pytest.Function) -> bool:
    """Whether it needs the server, which takes seconds to make: `make quick` does without."""
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return "postgres" in item.fixturenames or "postgresql" in parameters


def _wants_sdk(item: pytest.Function) -> bool:
    """Whether its module loads one, which takes each worker a second or two."""
    return _loads_sdk(item.module)


@functools.cache
def _loads_sdk(module: types.ModuleType) -> bool:
    return any(isinstance(each, Late) for each in vars(module).values())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show why a test was repeated, whether or not it passed then: it is a fault to look for."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"repeated: {report.nodeid}", yellow=True)
        terminalreporter.write_line(report.longreprtext)


def pytest_unconfigure() -> None:
    end_fork_server()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if isinstance(item, pytest.Function):
        load_for(item.module)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests of a worker; who stops it starts it again."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def one_valkey() -> Iterator[ValkeyServer]:
    """A server for all tests of a worker; skips them where there is none."""
    try:
        server = ValkeyServer()
    except NoValkey as exc:
        pytest.skip(f"no Valkey and no Redis: {exc}")
    with server:
        yield server


@pytest.fixture
def valkey(one_valkey: ValkeyServer) -> ValkeyServer:
    """The server, with nothing in it; who stops it starts it again."""
    one_valkey.command("FLUSHALL")
    return one_valkey
