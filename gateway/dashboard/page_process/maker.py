"""The gateway's end of the process that makes pages."""

from __future__ import annotations

import os
import sys
from collections import deque
from contextlib import aclosing
from typing import Final

import structlog
import trio

from ...child_process import python_path, start_child
from .link import PageLink
from .task import MakerSettings, ReadTask, RenderTask, TaskDone
from .wire import frames

_log = structlog.get_logger(__name__)

COMMAND: Final = (sys.executable, "-P", "-m", "gateway.dashboard.page_process.child")
# It takes a second and a half of a processor to start, as much as some fifty pages. That is worth
# it when so many tasks have come within so many seconds: a page that stays open has one a second.
WORTH: Final = 30
_WITHIN: Final = 60.0
# Seconds without a page after which the process and its memory are given back.
IDLE: Final = 300.0
# Seconds in which it must have started, on a machine where it gets what others leave.
_START: Final = 60.0
# Seconds until another is started after one that failed.
_REST: Final = 60.0


class PageProcess:
    """Does tasks in a child, from the moment on at which one runs: see `do`.

    It is started when there are many of them, and ended when there are none for long.
    """

    def __init__(self, settings: MakerSettings, command: tuple[str, ...] = COMMAND) -> None:
        self._settings = settings
        self._command = command
        self._wanted = trio.Event()
        # When the last ones were done without a process.
        self._done_here: deque[float] = deque(maxlen=WORTH)
        self._link: PageLink | None = None

    def __repr__(self) -> str:
        return f"<PageProcess {self._link or 'not running'}>"

    @property
    def pid(self) -> int | None:
        """Return that of the process which does tasks now; None if there is none."""
        return None if self._link is None else self._link.child.pid

    async def do(self, task: ReadTask | RenderTask) -> TaskDone | None:
        """Do a task; None if it has to be done here, since there is no process (yet).

        Raises StoreUnavailable as the database does.
        """
        link = self._link
        if link is None or link.child.ended:
            self._count()
            return None
        return await link.do(task)

    def _count(self) -> None:
        now = trio.current_time()
        self._done_here.append(now)
        if len(self._done_here) == WORTH and now - self._done_here[0] < _WITHIN:
            self._wanted.set()

    def _forget(self) -> None:
        self._done_here.clear()
        self._wanted = trio.Event()

    async def run(self) -> None:
        """Have a process whenever pages are looked at; runs until it is cancelled."""
        while True:
            await self._wanted.wait()
            try:
                await self._run_one()
            except* (OSError, trio.BrokenResourceError, trio.TooSlowError) as group:
                error = repr(group.exceptions[0])
                _log.warning("pages are made in threads: their process failed", error=error)
                await trio.sleep(_REST)
                self._forget()

    async def _run_one(self) -> None:
        """Have one until it was idle for long. Raises OSError, and what Trio does, if it fails."""
        async with trio.open_nursery() as nursery:
            # PostgreSQL's driver looks there for what the URL does not say.
            environment = {**os.environ, **python_path()}
            child = await start_child(nursery, self._command, environment, IDLE)
            link = PageLink(child)
            nursery.start_soon(link.write)
            async with aclosing(frames(child.stdout)) as answers:
                with trio.fail_after(_START):
                    await link.begin(self._settings, answers)
                self._link = link
                self._forget()
                try:
                    await link.read(answers)
                finally:
                    self._link = None
                    link.end()
            nursery.cancel_scope.cancel("the process has ended")
