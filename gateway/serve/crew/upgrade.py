"""A rolling upgrade: each worker in turn is replaced by one of the code that is now on disk.

There is one worker more than usual at a time: the next is replaced when the one before has left.
The first one that can't serve ends the upgrade, and those that are not replaced yet go on. When all
serve the supervisor takes up that code itself, if that can be: it becomes another program.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
import trio

from .crew import Crew
from .member import Member

# Upgrades that are told of. Who asks for one while another runs waits for the one after it.
KEPT: Final = 4

_log = logging.getLogger(__name__)


class Upgrade(msgspec.Struct, frozen=True):
    """How an upgrade went, or goes until it has `ended`; times are of `time.monotonic()`.

    `version` is that of the new workers, of which `processes` serve already; `problem` why not all
    of `workers` were replaced, and `supervisor` why it is the one that it was all the same.
    """

    began: float
    workers: int
    ended: float | None = None
    version: str = ""
    processes: tuple[int, ...] = ()
    problem: str = ""
    supervisor: str = ""


# Tries whether the code on disk can be used at all; says why not, else "".
Trial = Callable[[], Awaitable[str]]
Tell = Callable[[tuple[Upgrade, ...]], None]
# Becomes the supervisor of that code; returns why not, and does not return otherwise.
Succeed = Callable[[], Awaitable[str]]


class Upgrades:
    """`tell` gets the last upgrades, at every step.

    `kept` are those of the supervisor before, whose last one is all but done.
    """

    def __init__(
        self,
        crew: Crew,
        trial: Trial,
        tell: Tell,
        succeed: Succeed | None = None,
        kept: Sequence[Upgrade] = (),
    ) -> None:
        self._crew = crew
        self._trial = trial
        self._tell = tell
        self._succeed = succeed
        self._kept = [*kept]
        self._asked = trio.Event()

    def __repr__(self) -> str:
        return f"<Upgrades {self._kept}>"

    @property
    def kept(self) -> list[Upgrade]:
        return [*self._kept]

    @property
    def asked(self) -> bool:
        """Say whether one was asked for that has not begun."""
        return self._asked.is_set()

    def ask(self) -> None:
        """Upgrade; if one goes on, once more after it: the code may have changed meanwhile."""
        self._asked.set()

    async def run(self) -> None:
        """Upgrade whenever it is asked for, until cancelled."""
        if self._kept and self._kept[-1].ended is None:
            self._end("", "")
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            self._note(Upgrade(time.monotonic(), len(self._crew.posts)), new=True)
            _log.info("the workers are replaced, one after the other")
            problem, supervisor = "the gateway was told to leave", ""
            try:
                problem = await self._replace_all()
                if not problem and self._succeed is not None:
                    supervisor = "the gateway was told to leave"
                    supervisor = await self._succeed()
            finally:
                self._end(problem, supervisor)

    async def _replace_all(self) -> str:
        if problem := await self._trial():
            return problem
        for post in self._crew.posts:
            if problem := await self._crew.replace(post, self._taken_over):
                return problem
            if self._crew.leaving.is_set():
                return "the gateway was told to leave"
        return ""

    def _end(self, problem: str, supervisor: str) -> None:
        done = msgspec.structs.replace(
            self._kept[-1], ended=time.monotonic(), problem=problem, supervisor=supervisor
        )
        self._note(done)
        if problem:
            count = len(done.processes)
            _log.error("replaced %d of %d workers: %s", count, done.workers, problem)
            return
        _log.info("all workers were replaced, and are of version %s", done.version)
        if supervisor:
            _log.warning("the supervisor stays the one that it was: %s", supervisor)

    def _taken_over(self, new: Member) -> None:
        processes = (*self._kept[-1].processes, new.pid)
        changed = msgspec.structs.replace(self._kept[-1], processes=processes, version=new.version)
        self._note(changed)

    def _note(self, upgrade: Upgrade, *, new: bool = False) -> None:
        kept = self._kept if new else self._kept[:-1]
        self._kept = [*kept, upgrade][-KEPT:]
        self._tell(tuple(self._kept))
