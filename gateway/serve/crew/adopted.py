"""Workers that a supervisor before this one has started: the same process, by older code.

A supervisor takes up the code that is on disk by `execve`, which keeps its process id, its children
and those of its descriptors that it says. What it knows of its workers is handed over beside.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from functools import partial

import msgspec
import trio

from .member import Member


class HandedMember(msgspec.Struct, frozen=True, kw_only=True):
    """A worker, with its descriptors as `Member` has them. `at_post` says that it has a place."""

    number: int
    pid: int
    lifeline: int
    words: int | None
    ready: bool
    version: str
    at_post: bool = True


class AdoptedProcess:
    """A child that was started before this program was; see `member.WorkerProcess`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def __repr__(self) -> str:
        return f"<AdoptedProcess {self.pid}, status {self.returncode}>"

    async def wait(self) -> int:
        """Return the status that it left with, as `subprocess` does."""
        if self.returncode is None:
            if hasattr(os, "pidfd_open"):
                await self._watch(os.pidfd_open(self.pid))
            else:  # pragma: no cover  # not Linux
                wait = partial(os.waitid, os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
                await trio.to_thread.run_sync(wait, abandon_on_cancel=True)
            self._collect()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, sig: int) -> None:
        # Until its status is collected nobody else gets its number.
        if self.returncode is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def _watch(self, descriptor: int) -> None:
        try:
            await trio.lowlevel.wait_readable(descriptor)
        finally:
            os.close(descriptor)

    def _collect(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        self.returncode = os.waitstatus_to_exitcode(status)


def handed(members: Iterable[Member], at_post: Iterable[Member]) -> list[HandedMember]:
    """Return what a successor has to know of `members`, of which those `at_post` have places."""
    placed = {*at_post}
    return [
        HandedMember(
            number=each.number,
            pid=each.pid,
            lifeline=each.lifeline,
            # One that is ready has said all that it had to say.
            words=None if each.ready.is_set() else each.words,
            ready=each.ready.is_set(),
            version=each.version,
            at_post=each in placed,
        )
        for each in members
        if not each.left.is_set()
    ]


def adopted(member: HandedMember) -> Member:
    """Return a worker that was handed over, to be followed."""
    found = Member(member.number, AdoptedProcess(member.pid), member.lifeline, member.words)
    found.version = member.version
    found.retiring = not member.at_post
    if member.ready:
        found.ready.set()
    return found


def descriptors_of(members: Iterable[HandedMember]) -> list[int]:
    """Return the descriptors that a successor needs of `members`."""
    found = [(each.lifeline, each.words) for each in members]
    return [descriptor for pair in found for descriptor in pair if descriptor is not None]
