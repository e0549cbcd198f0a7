"""One request: what happened to it, what it cost, and what was said if that was kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import trio
from starlette.responses import Response

from ...admin.rights import Right
from ...captures.search import FoundCaptures, find_captures, read_captures
from ...core.capture.transcript import EventLine, Transcript
from ...core.dialects.conversation import Conversation
from ...core.dialects.reading import read_conversation
from ...core.records.pricing import Prices
from ...errors import NotFound, StoreUnavailable
from ...store.queries import request_log
from ..page_request import PageRequest
from ..views.curl import as_curl
from ..views.explanations import ENDS
from ..views.timeline import timeline

# Of captures: a page is made in memory, and a browser must be able to show it.
MAX_BYTES: Final = 16 * 1024 * 1024
_MOST_EVENTS: Final = 500
_MOST_RAW: Final = 200_000
TABS: Final = ("summary", "messages", "events", "raw")


async def one(request: PageRequest) -> Response:
    """Show the request of an id; `n` chooses one of several that had the same."""
    request.admin.only("tab", "n")
    request_id = request.admin.argument
    number = request.admin.number("n", 0)
    found = await request.read(lambda connection: request_log.one(connection, request_id))
    if not found:
        raise NotFound(f"There is no request {request_id!r} on record. It may be still under way.")
    row = found[min(number, len(found) - 1)]
    request.admin.viewed_request(request_id)
    tab = request.admin.text("tab", TABS[0], TABS)
    may_read = request.visitor is not None and request.visitor.may(Right.CONTENT)
    transcript = None
    if may_read and tab != TABS[0]:
        transcript = await _transcript(request, row)
    return await request.page(
        "request.html",
        active="requests",
        row=row,
        same=len(found),
        number=min(number, len(found) - 1),
        steps=timeline(row),
        ends=ENDS,
        prices=_prices(request, row),
        captured=await _is_captured(request, request_id),
        may_read=may_read,
        tab=tab,
        **await _content(transcript, request.base),
    )


async def _is_captured(request: PageRequest, request_id: str) -> bool:
    folder = request.resources.captures
    if folder is None:
        return False

    def look() -> bool:
        return next(iter(find_captures(folder, request_id)), None) is not None

    try:
        return await trio.to_thread.run_sync(look, limiter=request.site.renderers)
    except OSError:
        return False


async def _transcript(request: PageRequest, row: dict[str, Any]) -> Transcript | None:
    """Return what the debug log kept of this very request: others may have had the same id."""
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


async def _content(transcript: Transcript | None, base: str) -> dict[str, Any]:
    """Return what the tabs of a captured request show."""
    if transcript is None:
        return {"transcript": None}

    def work() -> dict[str, Any]:
        return {
            "transcript": transcript,
            "conversation": _conversation(transcript),
            "curl": as_curl(transcript.request, base),
            "events": transcript.events[:_MOST_EVENTS],
            "gaps": _gaps(transcript.events[:_MOST_EVENTS]),
            "most_raw": _MOST_RAW,
        }

    return await trio.to_thread.run_sync(work)


def _conversation(transcript: Transcript) -> Conversation | None:
    request = transcript.request
    if request.truncated or request.body.withheld:
        return None
    events = [each.data.encode() for each in transcript.events if each.data is not None]
    body = None if transcript.body is None else transcript.body.body.data
    return read_conversation(request.target, request.body.data, events, body)


def _gaps(events: Sequence[EventLine]) -> list[float]:
    """Return the milliseconds since the event before each."""
    times = [each.at_ms for each in events]
    return [at - before for before, at in zip([0.0, *times], times, strict=False)]


def _prices(request: PageRequest, row: dict[str, Any]) -> Prices | None:
    """Return the prices that the route has now, which a reload may have changed since."""
    for model in request.resources.snapshot().models:
        for each in model.deployments:
            if each.provider == row["provider"] and each.model == row["provider_model"]:
                return each.prices
    return None
