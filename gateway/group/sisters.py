"""Asks the other processes of the gateway; one that does not answer in time is named instead."""

from __future__ import annotations

import contextlib
import socket
from typing import Final, TypeVar

import msgspec
import structlog
import trio

from ..lifecycle import Phase
from .folder import Membership
from .process_state import ProcessState
from .questions import ANSWER_BYTES, Question, StateQuestion

T = TypeVar("T")

# Seconds for all answers together: they are asked for at the same time. A process answers within
# a pass of its event loop, which takes some 10 ms when it is busy.
PATIENCE: Final = 0.25
# And for what is done, and not just looked at.
ACT_PATIENCE: Final = 1.0
_READ: Final = 256 * 1024

_ENCODE: Final = msgspec.json.Encoder().encode

_log = structlog.get_logger(__name__)


class Sisters:
    def __init__(self, membership: Membership) -> None:
        self._membership = membership

    def __repr__(self) -> str:
        return f"<Sisters of worker {self._membership.number} of {self._membership.count}>"

    @property
    def number(self) -> int:
        """Return which worker this process is."""
        return self._membership.number

    @property
    def count(self) -> int:
        """Return how many workers there are, this one among them."""
        return self._membership.count

    async def in_service(self) -> bool:
        """Say whether another worker takes what is new."""
        answers, _ = await self.ask(StateQuestion(), ProcessState, PATIENCE)
        return any(each.phase == Phase.RUNNING.value for each in answers.values())

    async def ask(
        self, question: Question, kind: type[T], seconds: float
    ) -> tuple[dict[int, T], tuple[int, ...]]:
        """Return the answers, of that `kind`, by worker, and which workers gave none."""
        answers: dict[int, T] = {}
        asked = self._membership.others
        data, decoder = _ENCODE(question), msgspec.json.Decoder(kind)

        async def ask_one(number: int) -> None:
            with contextlib.suppress(OSError, trio.BrokenResourceError):
                body = await self._answer(number, data)
                try:
                    answers[number] = decoder.decode(body)
                except msgspec.MsgspecError:
                    # An answer that was broken off, or of a process of another version.
                    _log.warning("another worker says what is not understood", worker=number)

        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                for number in asked:
                    nursery.start_soon(ask_one, number)
        silent = tuple(number for number in asked if number not in answers)
        return dict(sorted(answers.items())), silent

    async def _answer(self, number: int, question: bytes) -> bytes:
        sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        async with trio.SocketStream(await _connected(sock, self._membership, number)) as stream:
            await stream.send_all(question)
            await stream.send_eof()
            got = bytearray()
            while data := await stream.receive_some(_READ):
                got += data
                if len(got) > ANSWER_BYTES:
                    raise OSError("the answer is too long")
            return bytes(got)


async def _connected(
    sock: trio.socket.SocketType, membership: Membership, number: int
) -> trio.socket.SocketType:
    try:
        await sock.connect(str(membership.socket_of(number)))
    except BaseException:
        sock.close()
        raise
    return sock
