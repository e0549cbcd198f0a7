"""The limits that the workers of one host share, held by their supervisor.

Each worker has one connection, through a socket in the group's private directory, and any number
of questions under way in it. The kernel closes it when a worker dies, however it does; then its
leases and reserves are given back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog
import trio

from ..core.limits.ledger_state import LedgerState
from ..core.limits.operations import AnnounceCall, LimitCall, StoreFailed
from ..core.limits.sharing import SharedLedger
from .frames import ANNOUNCED, LARGEST, LimitAsk, LimitReply, frame, frames
from .private_socket import private_socket

_READ: Final = 256 * 1024
# A worker that takes no answers for so long is stopped, or gone in some way of its own.
_PATIENCE: Final = 5.0

_DECODER: Final = msgspec.msgpack.Decoder(LimitAsk)
_ENCODE: Final = msgspec.msgpack.Encoder().encode

_log = structlog.get_logger(__name__)


class _Worker:
    """One worker's connection, and so the holder of its grants."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.scope = trio.CancelScope()
        self._stream = stream
        self._unsent = bytearray()
        self._some = trio.Event()

    def tell(self, data: bytes) -> None:
        self._unsent += data
        self._some.set()
        if len(self._unsent) > LARGEST:
            self.scope.cancel("a worker takes no answers")

    async def write(self) -> None:
        while True:
            await self._some.wait()
            self._some = trio.Event()
            data, self._unsent = bytes(self._unsent), bytearray()
            with trio.move_on_after(_PATIENCE) as sending:
                await self._stream.send_all(data)
            if sending.cancelled_caught:
                self.scope.cancel("a worker takes no answers")


class LimitHost:
    """Listens at `path`. `clock` paces rates; `epoch` gives Unix time."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = trio.current_time,
        epoch: Callable[[], float] = time.time,
    ) -> None:
        self.ledger = SharedLedger()
        self._workers: set[_Worker] = set()
        self._path = path
        self._clock = clock
        self._epoch = epoch

    def __repr__(self) -> str:
        return f"<LimitHost at {self._path}, {self.ledger!r}>"

    def state(self) -> LedgerState:
        """Return what is counted, for the program that follows this one."""
        return self.ledger.state(self._clock())

    def take_over(self, state: LedgerState, ago: float) -> None:
        """Go on with what another program has counted until some seconds `ago`."""
        self.ledger.take_over(state, self._clock() - ago, self._epoch())

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """LimitReply until cancelled; started once workers can connect.

        Without a socket they keep to their shares, and say so.
        """
        try:
            listening = private_socket(self._path)
        except OSError as exc:
            _log.warning("workers cannot share their limits", error=str(exc))
            task_status.started()
            return
        task_status.started()
        await trio.serve_listeners(self._serve, [trio.SocketListener(listening)])

    async def _serve(self, stream: trio.SocketStream) -> None:
        worker = _Worker(stream)
        self._workers.add(worker)
        got = bytearray()
        try:
            with worker.scope:
                async with stream, trio.open_nursery() as nursery:
                    nursery.start_soon(worker.write)
                    while data := await stream.receive_some(_READ):
                        got += data
                        for body in frames(got):
                            worker.tell(self._answer(body, worker))
                        if len(got) > LARGEST:
                            break
                    nursery.cancel_scope.cancel("the worker has gone")
        except* trio.BrokenResourceError:
            _log.debug("a worker died with something unread")
        finally:
            self._workers.discard(worker)
            self.ledger.gone(worker)

    def _answer(self, body: bytes, worker: _Worker) -> bytes:
        try:
            asked = _DECODER.decode(body)
        except msgspec.MsgspecError as exc:
            # Of a worker of another version, which is being replaced. It does without.
            return frame(_ENCODE(LimitReply(ANNOUNCED, b"", f"not understood: {exc}")))
        return frame(_ENCODE(self._done(asked.number, asked.call, worker)))

    def _done(self, number: int, call: LimitCall, worker: _Worker) -> LimitReply:
        if isinstance(call, AnnounceCall):
            told = frame(_ENCODE(LimitReply(ANNOUNCED, call.data)))
            for each in self._workers - {worker}:
                each.tell(told)
            return LimitReply(number)
        try:
            answer = self.ledger.call(call, worker, self._clock(), self._epoch())
        except StoreFailed as exc:
            return LimitReply(number, None, str(exc))
        except Exception as exc:  # noqa: BLE001  # one question must not end all workers' limits
            _log.exception("a worker's question about limits has no answer")
            return LimitReply(number, None, f"{type(exc).__name__}")
        return LimitReply(number, answer)
