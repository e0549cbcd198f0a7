"""Bytes that are kept until it is known where they go: a little in memory, the rest in a file.

The file has no name, in the folder for temporary files (`TMPDIR`), so that nothing is left of it
once it is closed, however the process ends. It is read and written in threads.
"""

from __future__ import annotations

import tempfile
from typing import IO, Final

import structlog
import trio

from ...errors import Overloaded

# In bytes. Most forms have a recording of seconds, or an image.
IN_MEMORY: Final = 256 * 1024
_PIECE: Final = 64 * 1024
# More threads at once would only compete for one disk.
_LIMITER: Final = trio.CapacityLimiter(8)

_log = structlog.get_logger(__name__)


class Spool:
    """Grows by `write`; `aclose` is to be called."""

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self.size = 0
        self._in_memory = in_memory
        self._memory = bytearray()
        self._file: IO[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Spool of {self.size} bytes{', in a file' if self._file else ''}>"

    @property
    def beginning(self) -> bytes:
        """Return what is in memory."""
        return bytes(self._memory)

    async def write(self, data: bytes) -> None:
        """Add `data`. Raises Overloaded if there is no room for it."""
        if self._file is None and self.size + len(data) <= self._in_memory:
            self._memory += data
        else:
            await trio.to_thread.run_sync(self._write, data, limiter=_LIMITER)
        self.size += len(data)

    async def read(self, start: int) -> bytes:
        """Return some of the bytes from `start` on; b"" at the end."""
        if start < len(self._memory):
            return bytes(self._memory[start : start + _PIECE])
        if start >= self.size:
            return b""
        return await trio.to_thread.run_sync(self._read, start, limiter=_LIMITER)

    async def aclose(self) -> None:
        """Let go of it all. Idempotent, and prompt: the file has no name and is not synced."""
        file, self._file = self._file, None
        self._memory = bytearray()
        if file is not None:
            file.close()

    def _write(self, data: bytes) -> None:
        try:
            if self._file is None:
                # Unbuffered: the pieces are large, and closing must not have to write.
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # `aclose`
            self._file.seek(0, 2)
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as exc:
            _log.error("no room for a body that is kept in a temporary file", reason=str(exc))
            raise Overloaded("the gateway has no room for the body", retry_after=5.0) from exc

    def _read(self, start: int) -> bytes:
        assert self._file is not None
        self._file.seek(start - len(self._memory))
        return self._file.read(_PIECE)
