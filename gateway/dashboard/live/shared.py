"""Figures that several open pages show, read once for all of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, NamedTuple

import trio

from ...errors import GatewayError

_MOST: Final = 256
# Seconds for which an error is remembered.
_ERROR_SECONDS: Final = 1.0


class _Known(NamedTuple):
    """What a question was answered with at that time; `error` instead if it could not be."""

    at: float
    value: Any
    error: GatewayError | None = None

    def is_good(self, seconds: float) -> bool:
        longest = seconds if self.error is None else min(seconds, _ERROR_SECONDS)
        return trio.current_time() - self.at < longest


class SharedFigures:
    """Remembers what a question was answered with for some seconds.

    Those who ask while it is being read wait for the same answer; if whoever reads it leaves, the
    next one reads it. An error is an answer as well: while the database hangs, pages do not wait
    for it one after the other.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, _Known] = OrderedDict()
        self._reading: dict[Hashable, trio.Lock] = {}
        self._forgotten = 0

    async def get(self, key: Hashable, seconds: float, read: Callable[[], Awaitable[Any]]) -> Any:
        """Return what `read` has returned for `key` no longer than `seconds` ago, or does now."""
        known = self._known.get(key)
        if known is not None and known.error is None and known.is_good(seconds):
            # Nearly always: of all who look at the same moment only the first has to read.
            return known.value
        lock = self._reading.setdefault(key, trio.Lock())
        try:
            async with lock:
                known = self._known.get(key)
                if known is None or not known.is_good(seconds):
                    known = await self._read(key, read)
                if known.error is not None:
                    raise known.error.with_traceback(None)
                return known.value
        finally:
            if not lock.locked() and not lock.statistics().tasks_waiting:
                self._reading.pop(key, None)

    def forget(self) -> None:
        """Have everything read anew: something was done that may have changed it."""
        self._known.clear()
        self._forgotten += 1

    async def _read(self, key: Hashable, read: Callable[[], Awaitable[Any]]) -> _Known:
        forgotten = self._forgotten
        try:
            value, error = await read(), None
        except GatewayError as exc:
            value, error = None, exc
        known = _Known(trio.current_time(), value, error)
        # What was asked before something was done says how it was before.
        if forgotten == self._forgotten:
            self._known[key] = known
            self._known.move_to_end(key)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        return known
