"""What tests of upgrades have in common: code that changes on disk, and load that counts losses."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from ..fork_server import popen
from .caller import ask, calling, chat_body
from .harness import ROOT, Served, spawned
from .provider import Asked, speaking
from .wire import DONE, LAST_CHUNK, Script, event, framed, stream_head

# Each of what a client keeps doing.
CALLERS: Final = 2
PACE: Final = 0.2


class Installed:
    """A copy of the gateway's code in `folder`, as an installation that is replaced in place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "installed"
        # With the compiled modules, so that nothing is compiled anew. Each file is a link until it
        # is replaced.
        shutil.copytree(ROOT / "gateway", self.folder / "gateway", copy_function=os.symlink)

    @property
    def serve(self) -> tuple[str, ...]:
        return ("env", f"PYTHONPATH={self.folder}", sys.executable, "-m", "gateway", "serve")

    def install(self, version: str) -> None:
        """Put another version in its place."""
        self.replace("__init__.py", 'version__ = "0.1.0"', f'version__ = "{version}"')

    def replace(self, name: str, old: str, new: str) -> None:
        """Put `new` into a module of the original in the place of `old`."""
        text = (ROOT / "gateway" / name).read_text()
        assert old in text
        self._write(name, text.replace(old, new))

    def restore(self, name: str) -> None:
        self._write(name, (ROOT / "gateway" / name).read_text())

    def _write(self, name: str, text: str) -> None:
        # Written beside and renamed, as installers do: nobody reads half of it.
        part = self.folder / "part"
        part.write_text(text)
        part.replace(self.folder / "gateway" / name)


@dataclass
class Upgrading:
    """How `gateway upgrade` went."""

    status: int
    out: str
    err: str


async def upgrade(file: Path, *more: str) -> Upgrading:
    done = await trio.to_thread.run_sync(
        lambda: popen.run(
            [*popen.GATEWAY, "upgrade", str(file), *more],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    )
    return Upgrading(done.returncode, done.stdout, done.stderr)


@dataclass
class Load:
    """Requests on kept and on new connections, and long streams, all the time."""

    port: int
    answered: int = 0
    streamed: int = 0
    lost: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)

    async def keep(self) -> None:
        """One request after the other on a connection that is kept for as long as it may be."""
        async with calling(self.port) as caller:
            while True:
                try:
                    await caller.ask()
                    reply = await caller.reply()
                    self._count(reply.status, whole=reply.complete)
                except Exception as error:  # noqa: BLE001  # any is a request that was lost
                    self.lost.append(f"kept: {error!r}")
                    await trio.aclose_forcefully(caller.stream)
                    await caller.open()
                await trio.sleep(PACE)

    async def renew(self) -> None:
        """Each request on a connection of its own."""
        while True:
            try:
                reply = await ask(self.port)
                self._count(reply.status, whole=reply.complete)
            except Exception as error:  # noqa: BLE001
                self.lost.append(f"new: {error!r}")
            await trio.sleep(PACE)

    async def probe(self) -> None:
        """A load balancer that looks whether the gateway is ready."""
        async with calling(self.port) as caller:
            while True:
                try:
                    reply = await caller.get("/health/ready")
                    if reply.status != 200:
                        self.lost.append(f"not ready: {reply.status}")
                except Exception as error:  # noqa: BLE001
                    self.lost.append(f"probe: {error!r}")
                    await trio.aclose_forcefully(caller.stream)
                    await caller.open()
                await trio.sleep(PACE)

    async def stream(self) -> None:
        """One long stream after the other."""
        while True:
            try:
                async with calling(self.port) as caller:
                    await caller.post(chat_body(stream=True))
                    await caller.head()
                    body, complete = await caller.rest()
                if complete and body.endswith(DONE):
                    self.streamed += 1
                else:
                    self.lost.append(f"stream: {caller.status} {complete} {body[-200:]!r}")
            except Exception as error:  # noqa: BLE001
                self.lost.append(f"stream: {error!r}")

    def _count(self, status: int, *, whole: bool) -> None:
        if status == 200 and whole:
            self.answered += 1
        else:
            self.lost.append(f"answer: {status} {whole}")


@contextlib.asynccontextmanager
async def loaded(port: int) -> AsyncIterator[Load]:
    """Keep a gateway busy; what was lost until the end is in `lost`."""
    load = Load(port)
    async with trio.open_nursery() as nursery:
        for _ in range(CALLERS):
            for each in (load.keep, load.renew, load.stream):
                nursery.start_soon(each)
        nursery.start_soon(load.probe)
        yield load
        nursery.cancel_scope.cancel()


def paced(seconds: float) -> Callable[[Asked], Script]:
    """Return a provider that answers at once, or by a stream that takes so many seconds."""

    def script(asked: Asked) -> Script:
        if not asked.json.get("stream"):
            return speaking(asked)
        count = max(1, int(seconds / 0.1))
        middle = [(0.1, framed(event({"content": f"word {number}"}))) for number in range(count)]
        end = framed(event({}, "stop") + DONE)
        return [(0.0, stream_head()), *middle, (0.0, end), (0.0, LAST_CHUNK)]

    return script


__all__ = ["Installed", "Load", "Served", "Upgrading", "loaded", "paced", "spawned", "upgrade"]
