"""An export for the event loop: every page is read and written out on a worker thread."""

from __future__ import annotations

import math

import trio

from ..engine.database import Database
from .export import Export


class ExportStream:
    """Iterates over an export's chunks, none of them empty.

    Nothing is held between two chunks, neither a task nor a transaction, so it can be left at
    any of them. A step that was cancelled or failed ends it: iterating further is refused.
    Raises StoreUnavailable.
    """

    def __init__(self, database: Database, export: Export) -> None:
        self._database = database
        self._export = export
        self._rested = -math.inf
        self._broken = False

    def __aiter__(self) -> ExportStream:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self.next_chunk()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def next_chunk(self) -> bytes | None:
        """Return the next bytes, or None at the end."""
        while not self._export.finished:
            if self._broken:
                raise RuntimeError("this export has been broken off")
            # Requests share the interpreter with the thread that writes rows out, and wait up to
            # five milliseconds whenever they need it back (docs.python.org, `sys.
            # setswitchinterval`). So each step is followed by a rest of the same length; the time
            # that the receiver took to read the last chunk counts as rest.
            await trio.sleep_until(self._rested)
            began = trio.current_time()
            self._broken = True
            chunk = await self._database.read(self._export.step)
            self._broken = False
            ended = trio.current_time()
            self._rested = ended + (ended - began)
            if chunk:
                return chunk
        return None
