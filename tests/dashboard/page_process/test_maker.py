"""Pages that are made in a process of their own: the same ones, whatever becomes of it."""

from __future__ import annotations

import operator
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from structlog.typing import EventDict

from gateway import __version__
from gateway.config.schema import Config
from gateway.dashboard.application import Dashboard
from gateway.dashboard.page_process import link as link_module
from gateway.dashboard.page_process import maker as module
from gateway.dashboard.page_process.maker import COMMAND, PageProcess
from gateway.dashboard.page_process.task import MakerSettings, ReadTask, RenderTask, TaskDone
from gateway.dashboard.pages import overview
from gateway.errors import StoreUnavailable
from gateway.store.engine import migrate
from gateway.store.engine.database import Database
from tests.dashboard.test_application import ASSETS, Site
from tests.end_to_end.provider import until
from tests.fork_server.popen import fork_server, open_process

NOTHING = MakerSettings(None, "")
# Every kind of page, with whatever is asked of the database and shown.
PAGES = (
    *("", "?range=7d&model=a", "requests", "requests?sort=latency", "requests?text=x", "sessions"),
    *("sessions?by=user", "models", "keys", "teams", "usage", "usage?group_by=token"),
    *("usage?group_by=user&period=7d", "in-flight", "settings", "audit", "audit?range=7d", "debug"),
    *("playground", "new-key", "new-team", "none", "request/none", "session?by=session&id=none"),
    *("requests?a=b", "usage?period=never"),
)
# Times, seals, what is drawn at random, and how many minutes a chart has differ between two looks.
DIFFERS = re.compile(rb'[0-9a-f]{32,}|value="[^"]*"|[\d.]+|>[^<]*ago<|\[[^\]]*\]')
# A program that answers its first task as the real one does, and the others by a word.
FAKE = """
import os, pickle, struct, sys, time
head, out = struct.Struct(">IQc"), sys.stdout.buffer
version, how = sys.argv[1:]
first = True
while got := sys.stdin.buffer.read(head.size):
    length, number, kind = head.unpack(got)
    sys.stdin.buffer.read(length)
    if first or how == "well":
        first, body = False, pickle.dumps(version if first else os.getpid())
        out.write(head.pack(len(body), number, b"+") + body)
        out.flush()
    elif how == "die":
        sys.exit(1)
"""


def faked(how: str, version: str = __version__) -> tuple[str, ...]:
    return (sys.executable, "-c", FAKE, version, how)


@asynccontextmanager
async def running(
    settings: MakerSettings, command: tuple[str, ...] = COMMAND, *, wait: bool = True
) -> AsyncIterator[PageProcess]:
    """A process that is there, since enough was asked for; none is left in the end."""
    before = children()
    process = PageProcess(settings, command)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(process.run)
        await asked_for(process)
        if wait:
            await there_is_one(process)
        yield process
        nursery.cancel_scope.cancel()
    assert process.pid is None
    assert children() <= before


def children() -> set[int]:
    return {each.pid for each in psutil.Process().children()}


async def there_is_one(process: PageProcess) -> None:
    with trio.fail_after(120):
        while process.pid is None:
            await process.do(ReadTask(operator.not_, 1.0))
            await trio.sleep(0.02)


async def asked_for(process: PageProcess) -> None:
    for _ in range(module.WORTH):
        assert await process.do(ReadTask(operator.not_, 1.0)) is None


def of(database: Database) -> MakerSettings:
    return MakerSettings(database.url, str(database.base))


@pytest.fixture
def _forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no process import all over again what a page needs."""
    fork_server()
    monkeypatch.setattr(trio._subprocess, "_open_process", open_process)


@pytest.mark.slow
@pytest.mark.usefixtures("_forked")
async def test_every_page_is_the_same_by_a_process_and_by_threads(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[TaskDone | None] = []
    by_link = PageProcess.do

    async def counted(self: PageProcess, task: ReadTask | RenderTask) -> TaskDone | None:
        found = await by_link(self, task)
        done.append(found)
        return found

    # The overview does not wait for figures that take longer than usual.
    monkeypatch.setattr(overview, "_PATIENCE", 60.0)
    site = Site(sqlite_database)
    cookie = await site.cookie()
    async with running(of(sqlite_database)) as process:
        monkeypatch.setattr(PageProcess, "do", counted)
        other = Site(sqlite_database)
        other.dashboard = Dashboard(other.api._resources, ASSETS, Config, process)
        with capture_logs() as logs:
            for path in PAGES:
                for more in ({}, {"hx_request": "true"}):
                    here = await site.ask(f"/admin/{path}", cookie=cookie, **more)
                    there = await other.ask(f"/admin/{path}", cookie=cookie, **more)
                    assert there.status == here.status, path
                    shown = DIFFERS.sub(b"", there.body).splitlines()
                    assert shown == DIFFERS.sub(b"", here.body).splitlines(), path
        assert [each for each in logs if each["log_level"] == "error"] == []
    # What raised in the process is done again in a thread: that of a wrong cursor, for example.
    failed = [each for each in done if each is None]
    assert len(done) > len(PAGES)
    assert len(failed) <= len(PAGES) // 10


# This one starts as it does for people.
@pytest.mark.slow
async def test_links_go_where_the_admin_api_is() -> None:
    async with running(NOTHING) as process:
        nothing = {"oldest": [], "in_flight": 1, "may_operate": False}
        found = await process.do(RenderTask({"a": "parts/in_flight.html"}, nothing, "/ops/here"))
        assert found is not None
        assert b"/ops/here/" in found.value["a"]
        assert b"/admin" not in found.value["a"]


@pytest.mark.slow
@pytest.mark.usefixtures("_forked")
async def test_the_database_answers_and_its_errors_come_through(
    sqlite_database: Database, tmp_path: Path
) -> None:
    async with running(of(sqlite_database)) as process:
        revision = await process.do(ReadTask(migrate.revision, 10.0))
        assert revision == TaskDone(migrate.HEAD)
        # It is a read: nothing is written by it.
        with pytest.raises(StoreUnavailable, match="readonly"):
            await process.do(ReadTask(wrote, 10.0))
        with pytest.raises(StoreUnavailable):
            await process.do(ReadTask(sleeping, 0.2))
        # What cannot be pickled is done here, and the log says so.
        with capture_logs() as logs:
            assert await process.do(ReadTask(lambda connection: connection, 1.0)) is None
        assert [each["log_level"] for each in logs] == ["error"]
        assert (await process.do(ReadTask(migrate.revision, 10.0))) == revision
    async with running(MakerSettings("sqlite:///none.db", str(tmp_path))) as process:
        with pytest.raises(StoreUnavailable):
            await process.do(ReadTask(migrate.revision, 10.0))
    async with running(NOTHING) as process:
        with pytest.raises(StoreUnavailable):
            await process.do(ReadTask(migrate.revision, 10.0))


def wrote(connection: Any) -> None:
    connection.exec_driver_sql("create table something (a integer)")


def sleeping(connection: Any) -> None:
    connection.exec_driver_sql(
        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
    )


@pytest.mark.slow
@pytest.mark.usefixtures("_forked")
async def test_a_caller_who_leaves_stops_its_query(sqlite_database: Database) -> None:
    async with running(of(sqlite_database)) as process:
        child = psutil.Process(process.pid)
        for _ in range(8):  # twice as many as it has threads
            with trio.move_on_after(0.05):
                await process.do(ReadTask(sleeping, 60.0))
        assert await process.do(ReadTask(migrate.revision, 30.0)) == TaskDone(migrate.HEAD)
        link = process._link
        assert link is not None
        assert link._waiting == {}

        def still() -> bool:
            return child.cpu_percent(0.2) < 50

        await until(still, "no query goes on")


@pytest.mark.slow
@pytest.mark.usefixtures("_forked")
async def test_a_process_that_is_killed_leaves_its_tasks_to_threads_and_is_replaced(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_REST", 0.0)
    found: list[TaskDone | None] = []
    async with running(of(sqlite_database)) as process:
        first = process.pid
        assert first is not None

        async def ask() -> None:
            found.append(await process.do(ReadTask(sleeping, 60.0)))

        with capture_logs() as logs:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                link = process._link
                await until(lambda: link is not None and bool(link._waiting), "it is asked")
                os.kill(first, signal.SIGKILL)
            assert found == [None]
            await until(lambda: process.pid is None, "it is known to be gone")
            await there_is_one(process)
        assert [each["event"] for each in warnings(logs)] == [
            "pages are made in threads: their process failed"
        ]
        assert process.pid != first
        assert await process.do(ReadTask(migrate.revision, 30.0)) == TaskDone(migrate.HEAD)


def warnings(logs: list[EventDict]) -> list[EventDict]:
    return [each for each in logs if each["log_level"] == "warning"]


async def test_few_looks_start_none(autojump_clock: trio.testing.MockClock) -> None:
    process = PageProcess(NOTHING, faked("well"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(process.run)
        for _ in range(module.WORTH * 2):
            assert await process.do(ReadTask(operator.not_, 1.0)) is None
            await trio.sleep(3.0)
        assert not process._wanted.is_set()
        nursery.cancel_scope.cancel()


async def test_one_that_is_idle_is_ended_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(NOTHING, faked("well")) as process:
        first = process.pid
        assert isinstance(await process.do(ReadTask(operator.not_, 1.0)), TaskDone)
        with capture_logs() as logs:
            link = process._link
            assert link is not None
            link.child._idle = 0.0
            link.child.used()
            await until(lambda: process.pid is None, "it is ended")
            await there_is_one(process)
        assert logs == []
        assert process.pid != first


@pytest.mark.parametrize(
    "command",
    [("/nowhere/python",), (sys.executable, "-c", ""), faked("well", "0.0.0"), faked("die", "0.0")],
)
async def test_one_that_cannot_be_had_is_done_without(command: tuple[str, ...]) -> None:
    with capture_logs() as logs:
        async with running(NOTHING, command, wait=False) as process:
            await until(lambda: bool(warnings(logs)), "it is said")
            assert process.pid is None
            assert await process.do(ReadTask(operator.not_, 1.0)) is None
    assert len(logs) == 1


@pytest.mark.parametrize("how", ["die", "silent"])
async def test_one_that_fails_at_a_task_or_hangs_is_ended(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "_GRACE", 0.2)
    async with running(NOTHING, faked(how)) as process:
        pid = process.pid
        assert pid is not None
        assert await process.do(ReadTask(operator.not_, 0.1)) is None
        await until(lambda: process.pid is None, "it is done without")
        await until(lambda: not psutil.pid_exists(pid), "it is gone")


async def test_cancelled_at_any_moment_nothing_is_left() -> None:
    async with running(NOTHING, faked("well")) as process:
        for delay in range(40):
            with trio.move_on_after(delay / 20_000):
                assert isinstance(await process.do(ReadTask(operator.not_, 5.0)), TaskDone)
        assert isinstance(await process.do(ReadTask(operator.not_, 5.0)), TaskDone)
        link = process._link
        assert link is not None
        assert link._waiting == {}
