"""Counts tokens by a process of its own, which is started when it is first needed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog
import trio

from ..child_process import ChildProcess, python_path, start_child

_log = structlog.get_logger(__name__)

CHILD: Final = Path(__file__).with_name("child.py")
COMMAND: Final = (sys.executable, "-P", str(CHILD))
# More has no model's context: 8 MiB are two million tokens. It takes half a second.
MOST_BYTES: Final = 8 * 1024 * 1024
# Seconds in which a count has to be there; the first one also loads the library.
PATIENCE: Final = 5.0
# Seconds without a count after which the process and its memory are given back.
IDLE: Final = 600.0
# Seconds until another is started after one that failed.
REST: Final = 60.0
# An answer is a line of two numbers.
_MOST_ANSWER: Final = 64
_READ: Final = msgspec.json.Decoder(tuple[int, int]).decode
_ENCODE: Final = msgspec.json.Encoder().encode


class ProcessCounter:
    """A `TokenCounter`. Its process is a child of `nursery`, and ends with it at the latest."""

    def __init__(self, nursery: trio.Nursery, command: Sequence[str] = COMMAND) -> None:
        self._nursery = nursery
        self._command = command
        # Whoever waits is served in the order of coming.
        self._turn: Final = trio.Lock()
        self._child: _Child | None = None
        self._not_before = -REST

    def __repr__(self) -> str:
        return f"<ProcessCounter {self._child}>"

    async def count(self, encoding: str, texts: Sequence[str]) -> int | None:
        """Return how many tokens `texts` have; None if they cannot be counted here and now."""
        if sum(map(len, texts)) > MOST_BYTES:
            return None
        with trio.move_on_after(PATIENCE):
            async with self._turn:
                return await self._count(encoding, texts)
        return None

    async def _count(self, encoding: str, texts: Sequence[str]) -> int | None:
        child = self._child
        try:
            if child is None or child.ended:
                if trio.current_time() < self._not_before:
                    return None
                # Until it has shown that it can count.
                self._not_before = trio.current_time() + REST
                child = self._child = await self._started()
            counted = await child.count(encoding, texts)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError, ValueError) as exc:
            _log.warning("tokens are not counted: the tokenizer does not answer", error=repr(exc))
            if child is not None:
                child.end()
            return None
        self._not_before = -REST
        return counted

    async def _started(self) -> _Child:
        # It needs nothing but its modules; of what is in the environment some is secret.
        return _Child(await start_child(self._nursery, self._command, python_path(), IDLE))


class _Child:
    def __init__(self, process: ChildProcess) -> None:
        self._process = process
        self._number = 0
        self._read = b""

    def __repr__(self) -> str:
        return f"<_Child {self._number} of {self._process}>"

    @property
    def ended(self) -> bool:
        return self._process.ended

    def end(self) -> None:
        self._process.end()

    async def count(self, encoding: str, texts: Sequence[str]) -> int:
        self._process.used()
        self._number += 1
        number = self._number
        try:
            line = _ENCODE((number, encoding, texts)) + b"\n"
        except UnicodeEncodeError:
            # Half of a surrogate pair, which a Python string can have, is no text.
            sound = [text.encode("utf-8", "replace").decode() for text in texts]
            line = _ENCODE((number, encoding, sound)) + b"\n"
        try:
            await self._process.stdin.send_all(line)
        except trio.Cancelled:
            # Half of a line would be read as the beginning of the next one.
            self.end()
            raise
        while True:
            answered, tokens = _READ(await self._line())
            # The answers to those who left before come first.
            if answered == number:
                return tokens

    async def _line(self) -> bytes:
        while b"\n" not in self._read:
            got = await self._process.stdout.receive_some()
            if not got or len(self._read) > _MOST_ANSWER * self._number:
                raise trio.BrokenResourceError("the process has ended")
            self._read += got
        line, self._read = self._read.split(b"\n", 1)
        return line
