"""Tasks that are under way in the process that makes pages."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator
from itertools import count
from typing import Final

import structlog
import trio

from ... import __version__
from ...child_process import ChildProcess
from ...errors import StoreUnavailable
from .task import MakerSettings, ReadTask, RenderTask, TaskDone
from .wire import CANCEL, DONE, READ, RENDER, UNAVAILABLE, TaskFrame, packed

_log = structlog.get_logger(__name__)

# Seconds for a task beyond those that it has itself; after that the process is taken to hang.
_GRACE: Final = 10.0
_RENDER_SECONDS: Final = 10.0
# Frames that wait to be written to its pipe.
_QUEUE: Final = 64
# What pickle raises for what it cannot take.
_UNFIT: Final = (pickle.PicklingError, AttributeError, TypeError)


class PageLink:
    """A process that runs, and who waits for it. `write` and `read` are tasks of its own."""

    def __init__(self, child: ChildProcess) -> None:
        self.child = child
        self._numbers = count(1)
        self._waiting: dict[int, _Waiting] = {}
        self._queue, self._queued = trio.open_memory_channel[TaskFrame](_QUEUE)

    def __repr__(self) -> str:
        return f"<PageLink {len(self._waiting)} tasks of {self.child}>"

    async def begin(self, settings: MakerSettings, answers: AsyncIterator[TaskFrame]) -> None:
        """Wait until it runs. Raises BrokenResourceError if it is not this program's."""
        await self._queue.send(TaskFrame(0, READ, pickle.dumps(settings)))
        first = await anext(answers, None)
        # Its files may have been replaced since this process began.
        if first is None or first.body != pickle.dumps(__version__):
            raise trio.BrokenResourceError("it has ended, or is of another version")

    async def write(self) -> None:
        """Send what is asked, until the pipe is closed here. Raises BrokenResourceError."""
        async with self._queued:
            try:
                async for frame in self._queued:
                    await self.child.stdin.send_all(packed(frame))
            except trio.ClosedResourceError:
                return

    async def read(self, answers: AsyncIterator[TaskFrame]) -> None:
        """Take answers until it is ended for being idle; if it ends otherwise, that is an error."""
        try:
            async for answer in answers:
                if waiting := self._waiting.get(answer.number):
                    waiting.answer = answer
                    waiting.over.set()
        except trio.ClosedResourceError:
            return
        raise trio.BrokenResourceError("it has ended")

    def end(self) -> None:
        """Let all go who wait."""
        self.child.end()
        for waiting in self._waiting.values():
            waiting.over.set()

    async def do(self, task: ReadTask | RenderTask) -> TaskDone | None:
        """See `PageProcess.do`."""
        try:
            body = pickle.dumps(task, pickle.HIGHEST_PROTOCOL)
        except _UNFIT as exc:
            _log.error("a page cannot be made by its process", error=repr(exc))
            return None
        reads = isinstance(task, ReadTask)
        answer = await self._answer(
            TaskFrame(next(self._numbers), READ if reads else RENDER, body),
            (task.seconds if isinstance(task, ReadTask) else _RENDER_SECONDS) + _GRACE,
        )
        return None if answer is None else _taken(answer)

    async def _answer(self, frame: TaskFrame, seconds: float) -> TaskFrame | None:
        self.child.used()
        waiting = self._waiting[frame.number] = _Waiting()
        try:
            with trio.move_on_after(seconds):
                await self._queue.send(frame)
                await waiting.over.wait()
                return waiting.answer
        except trio.BrokenResourceError:
            return None
        finally:
            del self._waiting[frame.number]
            if not waiting.over.is_set():
                self._leave(frame.number)
        _log.warning("the process that makes pages hangs, and is ended")
        self.child.end()
        return None

    def _leave(self, number: int) -> None:
        """Have it stop what nobody waits for; if it cannot be told, its time ends it."""
        try:
            self._queue.send_nowait(TaskFrame(number, CANCEL))
        except (trio.WouldBlock, trio.BrokenResourceError):
            return


class _Waiting:
    def __init__(self) -> None:
        self.over = trio.Event()
        self.answer: TaskFrame | None = None


def _taken(answer: TaskFrame) -> TaskDone | None:
    value = pickle.loads(answer.body)  # noqa: S301  # see `wire`
    if answer.kind == DONE:
        return TaskDone(value)
    if answer.kind == UNAVAILABLE:
        raise StoreUnavailable(value)
    # What raised is done again here, where it is an error of the page.
    _log.debug("the process that makes pages could not do a task", error=value)
    return None
