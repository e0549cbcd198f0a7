"""The process that makes pages: reads the database and renders, several tasks at a time.

The first frame on its stdin has its settings, which it answers with the version of its program. It
ends when its stdin does.
"""

from __future__ import annotations

import os
import pickle
import signal
from contextlib import aclosing
from importlib import import_module
from pathlib import Path
from typing import Final

import trio

from ... import __version__
from ...core import admin_path
from ...errors import StoreUnavailable
from ...store.engine.database import Database
from ..assets import read_assets
from ..rendering import Templates
from .task import RENDERERS, MakerSettings, ReadTask, RenderTask
from .wire import CANCEL, DONE, FAILED, READ, UNAVAILABLE, TaskFrame, frames, packed

# A quarter of a core that the gateway keeps busy: a step of nice is a factor of 1.25 (sched(7)).
# With a thirtieth (15) pages took a second there, and requests were no quicker for it.
_NICE: Final = 5


class PageMaker:
    """Does tasks, and answers each over `output`."""

    def __init__(self, settings: MakerSettings, output: trio.abc.SendStream) -> None:
        url = settings.url
        self._database = None if url is None else Database(url, Path(settings.folder))
        self._templates = Templates(read_assets())
        self._output = output
        self._writing = trio.Lock()
        self._renderers = trio.CapacityLimiter(RENDERERS)
        self._scopes: dict[int, trio.CancelScope] = {}

    def prepare(self) -> None:
        """Do once what would make the first page slow; until then the gateway makes pages."""
        # What tasks are pickled by: functions of the pages, and all that these need.
        import_module("gateway.dashboard.routes")
        self._templates.prepare()

    async def deal_with(self, frame: TaskFrame, nursery: trio.Nursery) -> None:
        if frame.kind != CANCEL:
            scope = self._scopes[frame.number] = trio.CancelScope()
            nursery.start_soon(self._answer, frame, scope)
        elif frame.number in self._scopes:
            self._scopes[frame.number].cancel("its caller has left")

    async def _answer(self, frame: TaskFrame, scope: trio.CancelScope) -> None:
        with scope:
            try:
                kind, value = DONE, await self._done(frame)
            except StoreUnavailable as exc:
                kind, value = UNAVAILABLE, exc.message
            except Exception as exc:  # noqa: BLE001  # the gateway is told, and does it by itself
                kind, value = FAILED, f"{type(exc).__name__}: {exc}"
        del self._scopes[frame.number]
        if not scope.cancelled_caught:
            await self.send(
                TaskFrame(frame.number, kind, pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
            )

    async def _done(self, frame: TaskFrame) -> object:
        task = pickle.loads(frame.body)  # noqa: S301  # see `wire`
        if frame.kind == READ:
            return await self._read(task)
        return await trio.to_thread.run_sync(self._rendered, task, limiter=self._renderers)

    async def _read(self, task: ReadTask) -> object:
        if self._database is None:
            raise StoreUnavailable("there is no database")
        return await self._database.read(task.work, task.seconds)

    def _rendered(self, task: RenderTask) -> dict[str, bytes]:
        admin_path.current.set(task.admin_path)
        return self._templates.render_all(task.templates, task.context)

    async def send(self, frame: TaskFrame) -> None:
        async with self._writing:
            await self._output.send_all(packed(frame))


async def serve(source: trio.abc.ReceiveStream, output: trio.abc.SendStream) -> None:
    """Do what comes until `source` ends."""
    async with aclosing(frames(source)) as incoming, trio.open_nursery() as nursery:
        first = await anext(incoming)
        settings: MakerSettings = pickle.loads(first.body)  # noqa: S301  # see `wire`
        maker = PageMaker(settings, output)
        maker.prepare()
        await maker.send(TaskFrame(first.number, DONE, pickle.dumps(__version__)))
        async for frame in incoming:
            await maker.deal_with(frame, nursery)
        nursery.cancel_scope.cancel("the gateway has ended")


def main() -> None:
    # Ctrl-C reaches everyone at the terminal; the gateway ends this process when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICE)
    # Whatever prints something must not be taken for an answer.
    answers = os.dup(1)
    os.dup2(2, 1)
    trio.run(serve, trio.lowlevel.FdStream(os.dup(0)), trio.lowlevel.FdStream(answers))
    # A thread that is in a query still would be waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
