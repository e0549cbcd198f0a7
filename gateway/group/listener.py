"""Answers the other processes of the gateway, through this process's socket."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Final

import msgspec
import structlog
import trio

from .questions import QUESTION_BYTES, Question
from .respondent import Respondent

# Seconds for a question to arrive and for its answer to be taken: a sister that waits no longer
# has left before.
_PATIENCE: Final = 2.0
# Connections at a time. Each sister asks one question a page of live figures every second or two,
# and all its pages share one.
_MOST: Final = 32
_PRIVATE: Final = 0o177

_ENCODE: Final = msgspec.json.Encoder().encode
_DECODER: Final = msgspec.json.Decoder(Question)

_log = structlog.get_logger(__name__)


class Listener:
    def __init__(self, path: Path, respondent: Respondent) -> None:
        self._path = path
        self._respondent = respondent
        self._places = trio.CapacityLimiter(_MOST)

    def __repr__(self) -> str:
        return f"<Listener {self._path}, {self._places.borrowed_tokens} asked>"

    async def run(self) -> None:
        """Answer until cancelled. Without a socket the others do without this process."""
        try:
            listening = self._open()
        except OSError as exc:
            _log.warning("other workers cannot ask this one how it is", error=str(exc))
            return
        try:
            await trio.serve_listeners(self._serve, [trio.SocketListener(listening)])
        finally:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _open(self) -> trio.socket.SocketType:
        # A predecessor that was killed has left its socket behind.
        self._path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            before = os.umask(_PRIVATE)
            try:
                sock.bind(str(self._path))
            finally:
                os.umask(before)
            sock.listen(_MOST)
        except BaseException:
            sock.close()
            raise
        sock.setblocking(False)
        return trio.socket.from_stdlib_socket(sock)

    async def _serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            with trio.move_on_after(_PATIENCE), contextlib.suppress(trio.BrokenResourceError):
                async with self._places:
                    question = await self._question(stream)
                    answer = None if question is None else self._answer(question)
                    if answer is not None:
                        await stream.send_all(answer)

    def _answer(self, question: Question) -> bytes | None:
        try:
            return _ENCODE(self._respondent.answer(question))
        except Exception:  # noqa: BLE001  # the other does without; this process goes on
            _log.exception("another worker's question has no answer")
            return None

    async def _question(self, stream: trio.SocketStream) -> Question | None:
        """Return what is asked; None for what is no question of ours."""
        got = bytearray()
        while data := await stream.receive_some(QUESTION_BYTES):
            got += data
            if len(got) > QUESTION_BYTES:
                return None
        try:
            question: Question = _DECODER.decode(got)
        except msgspec.MsgspecError:
            # Of a process of another version, which is being replaced.
            _log.warning("another worker asks what this one does not understand")
            return None
        return question
