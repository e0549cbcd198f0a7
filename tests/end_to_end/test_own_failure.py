"""A mistake in what every request needs: the process ends, so that another one can begin."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest
import trio

from ..fork_server.popen import SCRIPT
from ..rounds import rounds
from .caller import ask, calling
from .harness import GATEWAY, HYPERCORN, ROOT, Served, children, config, spawned
from .provider import serving, speaking, until
from .wire import event, framed, stream_head

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]

# Python imports `sitecustomize` in each process, workers included. Whoever takes the file away
# has the mistake.
MISTAKE: Final = """
import os, trio

def mistake():
    try:
        os.unlink({trigger!r})
    except FileNotFoundError:
        return
    raise ValueError("a mistake of ours")

async def fail(*_, **__):
    __["task_status"].started() if "task_status" in __ else None
    while True:
        await trio.sleep(0.05)
        mistake()

{patch}
"""
PATCHES: Final = {
    "the lifespan": """
from gateway.upstream.transport import Transport
Transport.maintain = fail
""",
    "the acceptor": """
from gateway.serve.entry.acceptor import Acceptor
accept = Acceptor._accept
Acceptor._accept = lambda *args: (mistake(), accept(*args))
""",
    "the entrance": """
from gateway.serve.entry.entrance import Entrance
run = Entrance.run
async def both(self):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, self)
        nursery.start_soon(fail)
Entrance.run = both
""",
}
SPEAKING_ON: Final = [
    (0.0, stream_head()),
    *[(0.1, framed(event({"content": "word "})))] * 1000,
]


# A process without workers is told so itself, and then it can be a fork.
ALONE: Final = """
import runpy, sys
sys.argv[0] = "gateway"
runpy.run_module("gateway", run_name="__main__", alter_sys=True)
"""


class Broken:
    """A command with a mistake, which happens once `happen` was called."""

    def __init__(self, folder: Path, patch: str, command: Sequence[str]) -> None:
        self._trigger = folder / "trigger"
        mistake = MISTAKE.format(trigger=str(self._trigger), patch=PATCHES[patch])
        if command == GATEWAY:
            self.command = [*SCRIPT, mistake + ALONE, "serve"]
            return
        (folder / "sitecustomize.py").write_text(mistake)
        self.command = ["env", f"PYTHONPATH={folder}:{ROOT}", *command]

    async def happen(self, served: Served) -> None:
        self._trigger.touch()
        # The acceptor's needs a connection.
        with trio.move_on_after(0.5), contextlib.suppress(trio.BrokenResourceError, OSError):
            async with calling(served.port) as caller:
                await caller.stream.receive_some()


@pytest.mark.parametrize("patch", PATCHES)
@pytest.mark.measured
async def test_the_process_ends_quickly_and_says_why(
    tmp_path: Path, write: Write, patch: str
) -> None:
    broken = Broken(tmp_path, patch, GATEWAY)
    async with serving(speaking, SPEAKING_ON) as provider:
        file = write(config(provider.port))
        async with spawned(broken.command, file) as served, calling(served.port) as caller:
            assert (await ask(served.port)).status == 200
            await caller.ask(stream=True)
            await caller.head()
            await caller.until(b"word")
            await broken.happen(served)
            assert await served.exit_status(3) == 70
            # Half an answer does not look like a whole one.
            _, complete = await caller.rest()
            assert not complete
    assert served.said.count(b"the gateway has failed and ends") == 1, served.said.decode()
    assert b"ValueError: a mistake of ours" in served.said


# That each of them ends a process is shown above.
@pytest.mark.parametrize("patch", rounds(["the acceptor"], [*PATCHES]))
async def test_a_supervisor_starts_another_worker(tmp_path: Path, write: Write, patch: str) -> None:
    broken = Broken(tmp_path, patch, [*GATEWAY, "--workers", "2"])
    async with (
        serving(speaking) as provider,
        spawned(broken.command, write(config(provider.port))) as served,
    ):
        await until(lambda: len(children(served.pid)) == 2, "two workers")
        before = set(children(served.pid))
        await broken.happen(served)
        await until(lambda: len(set(children(served.pid)) - before) == 1, "another worker", 20)
        assert len(before & set(children(served.pid))) == 1
        for _ in range(10):
            assert (await ask(served.port)).status == 200
        served.terminate()
        assert await served.exit_status() == 0
    assert b"a worker left" in served.said


@pytest.mark.measured
async def test_under_hypercorn_the_process_ends_as_well(tmp_path: Path, write: Write) -> None:
    broken = Broken(tmp_path, "the lifespan", [*HYPERCORN, "--workers", "0"])
    async with (
        serving(speaking) as provider,
        spawned(broken.command, write(config(provider.port))) as served,
    ):
        assert (await ask(served.port)).status == 200
        await broken.happen(served)
        assert await served.exit_status(3) != 0
    assert b"the gateway has failed and ends" in served.said
