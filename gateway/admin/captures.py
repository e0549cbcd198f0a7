"""What the debug log kept of one request."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import trio
from starlette.responses import Response

from ..captures.search import read_captures
from ..errors import NotFound, StoreUnavailable
from .request import AdminRequest, json_answer

# An answer holds whole requests and answers in memory. So many of them are made at once, and of
# the files each may hold so many bytes. Larger ones can be read on the machine that has the files,
# by `gateway debug show`.
_AT_ONCE: Final = 2
MAX_BYTES: Final = 32 * 1024 * 1024


class CaptureEndpoint:
    """Reads on threads of its own. A caller that leaves while one is busy is let go at once."""

    def __init__(self) -> None:
        self._readers = trio.CapacityLimiter(_AT_ONCE)

    async def show(self, request: AdminRequest) -> Response:
        """Answer with the captures of an id (see `captures.search`)."""
        request_id, folder = request.argument, request.resources.captures
        body = None if folder is None else await self._read(folder, request_id)
        if body is None:
            raise NotFound(f"the debug log has nothing of {request_id!r}")
        request.viewed_capture(request_id)
        return json_answer(body)

    async def _read(self, folder: Path, request_id: str) -> bytes | None:
        def read() -> bytes | None:
            found = read_captures(folder, request_id, max_bytes=MAX_BYTES)
            return msgspec.json.encode(found) if found.rows or found.more else None

        try:
            return await trio.to_thread.run_sync(
                read, abandon_on_cancel=True, limiter=self._readers
            )
        except OSError as exc:
            raise StoreUnavailable(f"the debug log cannot be read: {exc.strerror}") from exc
