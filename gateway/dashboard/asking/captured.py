"""What the debug log kept of a request, for pages that show or use it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from ...captures.search import FoundCaptures, read_captures
from ...core.capture.transcript import Transcript
from ...core.dialects.conversation import Conversation
from ...core.dialects.reading import read_conversation
from ...errors import NotFound, StoreUnavailable
from ...store.queries import request_log
from ..page_request import PageRequest

# Of captures: a page is made in memory, and a browser must be able to show it.
MAX_BYTES: Final = 16 * 1024 * 1024


async def rows_of(request: PageRequest, request_id: str) -> list[dict[str, Any]]:
    """Return the requests of an id, newest first. Raises NotFound if there is none."""
    found: list[dict[str, Any]] = await request.read(
        partial(request_log.one, request_id=request_id)
    )
    if not found:
        raise NotFound(f"There is no request {request_id!r} on record. It may be still under way.")
    return found


async def transcript_of(request: PageRequest, row: dict[str, Any]) -> Transcript | None:
    """Return what was kept of this very request: others may have had the same id."""
    folder, request_id = request.resources.captures, row["request_id"]
    if folder is None:
        return None
    found = await _read(request, folder, request_id)
    request.admin.viewed_capture(request_id)
    at = row["time"] / 1_000_000
    return min(found.rows, key=lambda each: abs(each.request.time - at), default=None)


async def _read(request: PageRequest, folder: Path, request_id: str) -> FoundCaptures:
    def read() -> FoundCaptures:
        return read_captures(folder, request_id, max_bytes=MAX_BYTES)

    try:
        return await trio.to_thread.run_sync(
            read, abandon_on_cancel=True, limiter=request.site.readers
        )
    except OSError as exc:
        raise StoreUnavailable(f"The debug log cannot be read: {exc.strerror}.") from exc


def conversation_of(transcript: Transcript) -> Conversation | None:
    """Return what was said; None if the body was cut, or is of another kind."""
    request = transcript.request
    if request.truncated or request.body.withheld:
        return None
    events = [each.data.encode() for each in transcript.events if each.data is not None]
    body = None if transcript.body is None else transcript.body.body.data
    return read_conversation(request.target, request.body.data, events, body)
