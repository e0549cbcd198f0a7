"""Workers that are shell scripts: started in a millisecond, and as badly behaved as is needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psutil
import trio

from gateway.serve.crew.crew import Crew

# Ready of version $V; told to retire or to leave it leaves.
GOOD = "printf 'ready 1.0\\n' >&$WORDS; exec head -c1 <&$LIFE >/dev/null"


class Scripted:
    """The command of a crew: `script` is what the next worker is."""

    def __init__(self, script: str = GOOD) -> None:
        self.scripts = [script]
        self.started: list[int] = []

    def then(self, *scripts: str) -> None:
        """Let the next workers be these, and those after them the last of them."""
        self.scripts = [*scripts]

    def __call__(self, listeners: Sequence[int], lifeline: int, words: int) -> list[str]:
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        # A shell has no numbers of two digits for descriptors.
        names = f"LIFE=/dev/fd/{lifeline} WORDS=/dev/fd/{words}"
        script = script.replace(">&$WORDS", '>"$WORDS"').replace("<&$LIFE", '<"$LIFE"')
        return ["sh", "-c", f"{names}; {script}"]


@asynccontextmanager
async def crew_of(count: int, scripted: Scripted, **more: Any) -> AsyncIterator[Crew]:
    """Run a crew; at the end it is told to leave, and nobody may be left."""
    crew = Crew(scripted, [], count, 5.0, on_started=scripted.started.append, **more)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crew.run)
            yield crew
            crew.leaving.set()
            crew.send_signal(15)
    assert not crew.members
    assert not [pid for pid in scripted.started if psutil.pid_exists(pid)]


async def all_ready(crew: Crew) -> list[int]:
    """Wait until each place has a worker that serves; return their process ids."""
    while True:
        members = [post.member for post in crew.posts]
        pids = [each.pid for each in members if each is not None and each.ready.is_set()]
        if len(pids) == len(members):
            return pids
        await trio.sleep(0.005)
