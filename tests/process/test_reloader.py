"""Who asks for a reload, and how many there are."""

from __future__ import annotations

import pytest
import structlog.testing
import trio
from trio.testing import MockClock

from gateway.config.reload_status import AppliedReload, ReloadOutcome
from gateway.errors import ConfigError
from gateway.process.reloader import Reloader

SECONDS = 10


class Reloads:
    """Each takes `SECONDS` and ends as `endings` say, the rest well."""

    def __init__(self, *endings: Exception | AppliedReload) -> None:
        self.began: list[float] = []
        self._endings = list(endings)

    async def __call__(self) -> AppliedReload:
        self.began.append(trio.current_time())
        await trio.sleep(SECONDS)
        ending = self._endings.pop(0) if self._endings else AppliedReload()
        if isinstance(ending, Exception):
            raise ending
        return ending


async def test_all_who_ask_during_a_reload_share_the_next(autojump_clock: MockClock) -> None:
    reloads = Reloads()
    reloader = Reloader("config.toml", reloads)
    outcomes: list[tuple[float, int]] = []
    start = trio.current_time()

    async def ask(after: float) -> None:
        await trio.sleep(after)
        outcome = await reloader.reload(f"after {after}")
        outcomes.append((trio.current_time() - start, outcome.generation))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reloader.run)
        async with trio.open_nursery() as askers:
            for after in (0, *range(1, 10)):
                askers.start_soon(ask, after)
        nursery.cancel_scope.cancel()
    # The first is answered by its own reload: the others can't know what it has read.
    assert outcomes == [(SECONDS, 2)] + [(2 * SECONDS, 3)] * 9
    assert [began - start for began in reloads.began] == [0, SECONDS]


async def test_whoever_no_longer_waits_holds_up_nobody(autojump_clock: MockClock) -> None:
    reloads = Reloads()
    reloader = Reloader("config.toml", reloads)
    with trio.move_on_after(1):
        await reloader.reload("by one who leaves before anything has begun")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reloader.run)
        with trio.move_on_after(1):
            await reloader.reload("by one who leaves in its middle")
        outcome = await reloader.reload("by one who stays")
        nursery.cancel_scope.cancel()
    assert outcome == ReloadOutcome(3)
    assert len(reloads.began) == 2


async def test_a_failure_is_remembered_until_a_reload_succeeds(autojump_clock: MockClock) -> None:
    problems = ("config.toml: [lgo]: unknown key", "config.toml: [server] bind: no port")
    reloader = Reloader(
        "config.toml",
        Reloads(AppliedReload(("server.bind",), ("log.level",)), ConfigError(problems)),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reloader.run)
        assert await reloader.reload("1") == ReloadOutcome(2, ("server.bind",), (), ("log.level",))
        before = reloader.status
        with structlog.testing.capture_logs() as logs:
            outcome = await reloader.reload("2")
        assert outcome == ReloadOutcome(2, ("server.bind",), problems)
        assert not outcome.reloaded
        failed = reloader.status
        assert failed.last_error is not None
        assert failed.last_error.problems == problems
        assert failed.last_error.at >= before.loaded_at
        # What is in use, and since when, is as it was.
        assert (failed.generation, failed.loaded_at) == (2, before.loaded_at)
        assert failed.needs_restart == ("server.bind",)
        (line,) = logs
        assert line["log_level"] == "error"
        assert (line["problems"], line["cause"]) == (list(problems), "2")

        assert await reloader.reload("3") == ReloadOutcome(3)
        assert reloader.status.last_error is None
        assert reloader.status.needs_restart == ()
        nursery.cancel_scope.cancel()


async def test_a_bug_in_a_reload_is_no_more_than_a_reload_that_failed(
    autojump_clock: MockClock,
) -> None:
    reloader = Reloader("config.toml", Reloads(KeyError("p")))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reloader.run)
        with structlog.testing.capture_logs() as logs:
            outcome = await reloader.reload("1")
        assert outcome.problems == ("KeyError: 'p'",)
        assert any(line.get("exc_info") for line in logs)
        assert (await reloader.reload("2")).reloaded
        nursery.cancel_scope.cancel()


async def test_what_needs_a_restart_is_a_warning(autojump_clock: MockClock) -> None:
    reloader = Reloader("config.toml", Reloads(AppliedReload(("server.bind", "server.pid_file"))))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reloader.run)
        with structlog.testing.capture_logs() as logs:
            await reloader.reload("SIGHUP")
        nursery.cancel_scope.cancel()
    warning = logs[-1]
    assert warning["log_level"] == "warning"
    assert warning["settings"] == ["server.bind", "server.pid_file"]


async def test_a_part_that_is_gone_is_a_warning_until_the_next_reload(
    autojump_clock: MockClock,
) -> None:
    gone = ("[[tokens]]: 8 of 10 are gone; is the file complete?",)
    reloader = Reloader(
        "config.toml", Reloads(AppliedReload(warnings=gone), ConfigError(["faults"]))
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reloader.run)
        with structlog.testing.capture_logs() as logs:
            assert (await reloader.reload("1")).warnings == gone
        assert [line["note"] for line in logs if line["log_level"] == "warning"] == list(gone)
        await reloader.reload("2")
        # The configuration in use is the same one.
        assert reloader.status.warnings == gone
        outcome = await reloader.reload("3")
        assert not (*outcome.warnings, *reloader.status.warnings)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("count", [1, 100])
async def test_causes_are_in_the_log_once_each(count: int, autojump_clock: MockClock) -> None:
    reloader = Reloader("config.toml", Reloads())
    for _ in range(count):
        reloader.ask("SIGHUP")
    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            last = reloader.ask("admin root")
            nursery.start_soon(reloader.run)
            await last.done.wait()
            nursery.cancel_scope.cancel()
    assert [line["cause"] for line in logs] == ["SIGHUP and admin root"]
