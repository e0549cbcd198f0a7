"""Answers the other processes of the gateway, through this process's socket."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec
import structlog
import trio

from .private_socket import private_socket
from .questions import QUESTION_BYTES, Question
from .respondent import Respondent

# Seconds for a question to arrive and for its answer to be taken: a sister that waits no longer
# has left before.
_PATIENCE: Final = 2.0
# Connections at a time. Each sister asks two or three questions a second for all the pages that are
# open in it, and one more for each request to the admin API.
_MOST: Final = 32

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
            listening = private_socket(self._path)
        except OSError as exc:
            _log.warning("other workers cannot ask this one how it is", error=str(exc))
            return
        own = self._path.stat()
        try:
            await trio.serve_listeners(self._serve, [trio.SocketListener(listening)])
        finally:
            # Its successor may be there by now.
            with contextlib.suppress(OSError):
                if os.path.samestat(own, self._path.stat()):
                    self._path.unlink()

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
