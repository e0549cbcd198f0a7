"""Figures that several open pages show, read once for all of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final

import trio

_MOST: Final = 64


class SharedFigures:
    """Remembers what a question was answered with for some seconds.

    Those who ask while it is being read wait for the same answer; if whoever reads it leaves, the
    next one reads it.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._reading: dict[Hashable, trio.Lock] = {}

    async def get(self, key: Hashable, seconds: float, read: Callable[[], Awaitable[Any]]) -> Any:
        """Return what `read` has returned for `key` no longer than `seconds` ago, or does now."""
        lock = self._reading.setdefault(key, trio.Lock())
        try:
            async with lock:
                known = self._known.get(key)
                if known is not None and trio.current_time() - known[0] < seconds:
                    return known[1]
                found = await read()
                self._known[key] = (trio.current_time(), found)
                self._known.move_to_end(key)
                while len(self._known) > _MOST:
                    self._known.popitem(last=False)
                return found
        finally:
            if not lock.locked() and not lock.statistics().tasks_waiting:
                self._reading.pop(key, None)
