"""The processes that share a Valkey or Redis server, and what operators tell them through it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import msgspec
import trio

from ...core.limits.operations import StoreFailed
from ...core.news import Announcement, OrderNews
from ...core.processes import GONE, ProcessDrain, ProcessRow
from .connection import RedisConnection, news_channel

SCRIPT: Final = files(__package__).joinpath("processes.lua").read_bytes()
# Seconds for one answer. No request waits for it.
_TIMEOUT: Final = 1.0
# Seconds that processes have to see a cancellation.
_LASTS: Final = 60.0

_ENCODE: Final = msgspec.json.Encoder().encode
# Of nobody that hears it, so that all do.
_NEWS: Final = _ENCODE(Announcement("", OrderNews()))
_ROW: Final = msgspec.json.Decoder(ProcessRow)


class _Wish(msgspec.Struct, frozen=True):
    """Who wants a drain, and why."""

    by: str | None = None
    reason: str | None = None


class RollOrders(msgspec.Struct, frozen=True):
    """What operators want: drains, and requests to be cancelled with when that was asked."""

    drains: list[ProcessDrain]
    cancelled: list[tuple[str, str]]


class ProcessRoll:
    """By a `connection` that is open whenever that can be. Raises StoreFailed.

    Times are told by this process's clock: what the server's says is put in relation to it.
    """

    def __init__(self, connection: RedisConnection, prefix: str) -> None:
        self._connection = connection
        self._channel = news_channel(prefix)
        self._keys = [f"{{{prefix}}}:processes:{each}" for each in "hsdx"]

    def __repr__(self) -> str:
        return f"<ProcessRoll by {self._connection!r}>"

    async def beat(self, row: ProcessRow) -> RollOrders:
        """Say how a process is; return what operators want."""
        answer = await self._ask("beat", row.id, _ENCODE(row).decode(), str(2 * GONE), str(_LASTS))
        drains, rest = _drains(answer)
        return RollOrders(drains, [(each.decode(), at.decode()) for each, at in _pairs(rest)])

    async def leave(self, process: str) -> None:
        await self._ask("leave", process)

    async def processes(self) -> tuple[list[ProcessRow], list[ProcessDrain]]:
        """Return all processes that have been heard of within `GONE`, and the drains."""
        answer = await self._ask("list", str(GONE))
        now = float(answer[0])
        drains, rest = _drains(answer)
        rows = []
        for seen, said in _pairs(rest):
            try:
                row = _ROW.decode(said)
            except msgspec.MsgspecError:
                # Of another version, which says more than this one knows, or less.
                continue
            rows.append(msgspec.structs.replace(row, seen=time.time() - now + float(seen)))
        return sorted(rows, key=lambda row: (row.host, row.started, row.id)), drains

    async def drain(self, drain: ProcessDrain, seconds: float) -> bool:
        """Have its target drained for so many seconds; say whether it was drained before."""
        wish = _ENCODE(_Wish(drain.by, drain.reason)).decode()
        return _was(await self._order("drain", drain.target, repr(seconds), wish))

    async def enable(self, target: str) -> bool:
        """End the drain of `target`, and say whether there was one."""
        return _was(await self._order("drain", target, "", ""))

    async def cancel(self, request_id: str) -> None:
        """Have a request cancelled, wherever it is."""
        await self._order("cancel", request_id)

    async def _order(self, *arguments: str) -> list[bytes]:
        """Order something, and have all processes look at once."""
        answer = await self._ask(*arguments)
        with trio.move_on_after(_TIMEOUT):
            await self._connection.ask(b"PUBLISH", self._channel, _NEWS)
        return answer

    async def _ask(self, *arguments: str) -> list[bytes]:
        with trio.move_on_after(_TIMEOUT):
            found: list[bytes] = await self._connection.ask(
                b"EVAL", SCRIPT, len(self._keys), *self._keys, *arguments
            )
            return found
        raise StoreFailed(f"no answer within {_TIMEOUT:.0f} s")


def _drains(answer: Sequence[bytes]) -> tuple[list[ProcessDrain], Sequence[bytes]]:
    """Return the drains that are not over, and what stands behind them."""
    ahead = time.time() - float(answer[0])
    end = 2 + int(answer[1])
    found = []
    for target, value in _pairs(answer[2:end]):
        until, _, wish = value.partition(b" ")
        try:
            said = msgspec.json.decode(wish, type=_Wish)
        except msgspec.MsgspecError:
            said = _Wish()
        if float(until) > float(answer[0]):
            found.append(
                ProcessDrain(
                    target=target.decode(),
                    until=float(until) + ahead,
                    by=said.by,
                    reason=said.reason,
                )
            )
    return found, answer[end:]


def _was(answer: Sequence[bytes]) -> bool:
    until, _, _ = answer[1].partition(b" ")
    return bool(until) and float(until) > float(answer[0])


def _pairs(flat: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(flat[::2], flat[1::2], strict=True))
