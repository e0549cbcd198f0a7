"""All worker processes: a dead one is started again, and one can take another's place."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final

import trio

from .member import Command, Member, start

BACKOFF_FIRST: Final = 0.1
BACKOFF_LAST: Final = 5.0
# A worker that ran this long was well: its end is a new event, not a failure to start.
HEALTHY_AFTER: Final = 30.0
# Seconds in which a successor has to be ready. A database that is away is waited for 15 s, a
# migration at the start for a minute.
READY_WITHIN: Final = 120.0
# Seconds between two looks whether all serve.
_LOOK: Final = 0.05

_log = logging.getLogger(__name__)

# What keeps the place of worker `number` free for its successor while that one starts; it gets a
# function to call when the successor has the place.
MakeWay = Callable[[int], AbstractContextManager[Callable[[], None]]]


@contextlib.contextmanager
def no_way(number: int) -> Iterator[Callable[[], None]]:
    """Keep nothing free: workers have no places."""
    yield lambda: None


class Post:
    """The place of one worker; `member` has it, and `successor` is set while another one starts."""

    def __init__(self, number: int, member: Member | None = None) -> None:
        self.number: Final = number
        self.member = member
        self.successor: trio.Event | None = None


class Crew:
    """`kill_after` seconds after a worker was told to leave it is killed.

    `on_started` gets each process id, `on_ready` is called when a first worker serves, `on_ended`
    when one has left. Workers inherit `pass_fds`, beside the `sockets`.
    """

    def __init__(
        self,
        command: Command,
        sockets: Sequence[socket.socket],
        workers: int,
        kill_after: float,
        *,
        on_started: Callable[[int], None] | None = None,
        on_ready: Callable[[], None] | None = None,
        on_ended: Callable[[], None] | None = None,
        make_way: MakeWay = no_way,
        pass_fds: Sequence[int] = (),
    ) -> None:
        # Of the gateway: 1 if a worker did not leave cleanly when it was told to.
        self.status = 0
        self.leaving: Final = trio.Event()
        self.posts: Final = [Post(number) for number in range(workers)]
        self.members: Final[set[Member]] = set()
        self._command = command
        self._listeners = [sock.fileno() for sock in sockets]
        self._kill_after = kill_after
        self._on_started = on_started
        self._on_ready = on_ready
        self._on_ended = on_ended
        self._make_way = make_way
        self._pass_fds = pass_fds
        self._nursery: trio.Nursery | None = None
        self._adopted: list[Member] = []

    def __repr__(self) -> str:
        return f"<Crew of {len(self.posts)}, {self.members}>"

    async def run(self) -> None:
        """Keep all places taken; return when every worker has left after `leaving` was set."""
        async with trio.open_nursery() as self._nursery:
            for member in self._adopted:
                self._nursery.start_soon(self.follow, member)
            for post in self.posts:
                self._nursery.start_soon(self._keep, post)

    def adopt(self, members: Iterable[Member], at_post: Collection[int]) -> None:
        """Go on with workers that are there already, before `run`; those processes have places."""
        for member in members:
            self._adopted.append(member)
            self.members.add(member)
            if member.pid in at_post and member.number < len(self.posts):
                self.posts[member.number].member = member

    async def all_ready(self) -> None:
        """Wait until there is a worker at each place that serves."""
        for post in self.posts:
            # What is waited for may be another process by then.
            while (found := post.member) is None or not found.ready.is_set():  # noqa: ASYNC110
                await trio.sleep(_LOOK)

    def send_signal(self, signum: int) -> None:
        for member in tuple(self.members):
            member.send_signal(signum)

    def kill(self) -> None:
        for member in tuple(self.members):
            _log.error("worker %d does not leave, killing it", member.pid)
            member.kill()

    async def replace(self, post: Post, noted: Callable[[Member], None]) -> str:
        """Have another worker take over a place; return why that was not possible, else "".

        `noted` gets the new one once it serves. Returns when the old one has left.
        """
        post.successor = trio.Event()
        try:
            with self._make_way(post.number) as taken:
                new = await self._proven(post.number)
                if isinstance(new, str):
                    return new
                old, post.member = post.member, new
                taken()
                post.successor.set()
                noted(new)
                if old is not None:
                    await self._retire(old)
                return ""
        finally:
            post.successor.set()
            post.successor = None

    # One place...

    async def _keep(self, post: Post) -> None:
        """Keep a worker at `post`, and the next when it dies, until told to leave."""
        backoff = BACKOFF_FIRST
        while not self.leaving.is_set():
            began = trio.current_time()
            if post.member is None:
                post.member = await self._begin(post.number)
            member = post.member
            if member is not None:
                await member.left.wait()
            if self.leaving.is_set():
                return
            if post.member is member:
                post.member = None
                if post.successor is not None:
                    # One that was to take over anyway.
                    await post.successor.wait()
            if post.member is not None:
                backoff = BACKOFF_FIRST
                continue
            if member is not None and member.code == -signal.SIGHUP:
                # It was still starting. The next one reads what it was asked to read.
                _log.info("a worker was asked to reload before it could, another starts")
                continue
            lived = trio.current_time() - began
            if lived >= HEALTHY_AFTER:
                backoff = BACKOFF_FIRST
            _log.error("a worker left after %.1f s, another starts in %.1f s", lived, backoff)
            with trio.move_on_after(backoff):
                await self.leaving.wait()
            backoff = min(BACKOFF_LAST, 2 * backoff)

    async def _begin(self, number: int) -> Member | None:
        """Start a worker; None if that is not possible now."""
        assert self._nursery is not None
        try:
            member = await start(self._command, number, self._listeners, self._pass_fds)
        except OSError:
            # Such as EAGAIN at the limit of processes, which may pass.
            _log.exception("a worker can't be started")
            return None
        self._nursery.start_soon(self.follow, member)
        self.members.add(member)
        if self._on_started is not None:
            self._on_started(member.pid)
        if self.leaving.is_set():
            # The signal came while it was being started, and was not forwarded to it.
            member.send_signal(signal.SIGTERM)
        return member

    async def follow(self, member: Member) -> None:
        """Follow one worker to its end."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._announce, member)
            try:
                await member.run()
            finally:
                self.members.discard(member)
            nursery.cancel_scope.cancel("it has left")
        if self._on_ended is not None:
            self._on_ended()
        clean = _is_clean(member)
        if (self.leaving.is_set() or member.retiring) and not clean:
            _log.error("worker %d left with status %s", member.pid, member.code)
        if self.leaving.is_set() and not clean:
            self.status = 1

    async def _announce(self, member: Member) -> None:
        await member.ready.wait()
        if self._on_ready is not None:
            self._on_ready()

    # Another at its place...

    async def _proven(self, number: int) -> Member | str:
        """Return a new worker that serves, or why there is none."""
        while True:
            new = await self._begin(number)
            if new is None:
                return "a new worker can't be started; the log says why"
            with trio.move_on_after(READY_WITHIN) as waiting:
                await _first(new.ready, new.left)
            if self.leaving.is_set():
                return "the gateway was told to leave"
            if waiting.cancelled_caught:
                new.kill()
                await new.left.wait()
                return f"the new worker was not ready within {READY_WITHIN:g} s"
            if not new.left.is_set():
                return new
            if new.code != -signal.SIGHUP:
                return f"the new worker {_how(new)}"
            # It was still starting. The next one reads what it was asked to read.

    async def _retire(self, old: Member) -> None:
        old.retire()
        with trio.move_on_after(self._kill_after):
            await old.left.wait()
            return
        _log.error("worker %d does not leave, killing it", old.pid)
        old.kill()
        await old.left.wait()


async def _first(*events: trio.Event) -> None:
    """Wait until one of `events` is set."""
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel("one is set")

        for event in events:
            nursery.start_soon(wait, event)


def _is_clean(member: Member) -> bool:
    """Say whether a worker that was told to leave has nothing to answer for."""
    if member.code in (0, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP):
        return True
    # One that is still starting has nothing to drain, however the signal ends it: an error in an
    # import, or a crash of C code there that does not expect one. Only a hung one is killed.
    return not member.ready.is_set() and member.code != -signal.SIGKILL


def _how(member: Member) -> str:
    """Return how a worker has ended that should serve."""
    if member.said:
        return f"can't serve: {member.said}"
    code = member.code or 0
    end = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"left with status {code}"
    return end if member.ready.is_set() else f"{end} before it was ready; the log says why"
