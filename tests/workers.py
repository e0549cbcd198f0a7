"""What makes the workers of pytest-xdist cheaper, and what they tell at the end."""

from __future__ import annotations

from typing import Any, Final

import pytest

from .cases import CASES

__all__ = ["Cases", "count_repetitions_here", "repeats", "tell_results_only"]

_SENT: Final = "cases"
_WORKER: Final = "WorkerInteractor"


def repeats(config: pytest.Config) -> bool:
    """Whether pytest-rerunfailures is there; an environment made before it was needed lacks it."""
    return bool(config.pluginmanager.hasplugin("rerunfailures"))


def count_repetitions_here(config: pytest.Config) -> None:
    """Have a worker count by itself how often a test is repeated, as without workers.

    pytest-rerunfailures keeps what it counts with the controller, so that a test whose worker died
    is repeated as well. Each test tells and asks it over TCP, and what it asks waits for the late
    acknowledgement of what the one before has told: 40 ms of each of thousands of tests. A worker
    that dies is now a failure at once.
    """
    if repeats(config) and hasattr(config, "workerinput"):
        from pytest_rerunfailures import StatusDB  # type: ignore[import-untyped]

        kept: Any = config
        kept.failures_db.sock.close()
        kept.failures_db = StatusDB()


def tell_results_only(config: pytest.Config) -> None:
    """Have a worker tell the controller of a test how it went and no more, unless asked for more.

    By itself it sends six messages of each test: its begin, a report of each of three parts, its
    end and that it is free again. A fifteenth of the processor time of a run was their packing and
    unpacking. Begin, end, and a preparation or a cleaning that passed change nothing that is shown.
    """
    asked_for = config.getoption("durations"), config.getoption("xmlpath")
    if not hasattr(config, "workerinput") or any(each is not None for each in asked_for):
        return
    plugins = config.pluginmanager
    # The worker runs that module's text by itself, so its class is not the one to be imported.
    [worker] = [each for each in plugins.get_plugins() if type(each).__name__ == _WORKER]
    usual: Any = type(worker)

    class Terse(usual):  # type: ignore[misc]
        def pytest_runtest_logstart(self, nodeid: str, location: object) -> None:
            return

        def pytest_runtest_logfinish(self, nodeid: str, location: object) -> None:
            return

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.when == "call" or not report.passed:
                super().pytest_runtest_logreport(report)

    plugins.unregister(worker)
    worker.__class__ = Terse
    plugins.register(worker)


class Cases:
    """A plugin that tells at the end how many cases the tests of many cases were."""

    def __init__(self) -> None:
        self._elsewhere = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        config: Any = session.config
        if hasattr(config, "workeroutput"):
            config.workeroutput[_SENT] = config.stash.get(CASES, 0)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._elsewhere += getattr(node, "workeroutput", {}).get(_SENT, 0)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        more = terminalreporter.config.stash.get(CASES, 0) + self._elsewhere
        if more:
            terminalreporter.write_line(f"of some of these tests, {more} more cases")
