"""All that is under way, the oldest first, with a way to cancel each."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response
from starlette.types import ASGIApp

from ...admin.in_flight import exchanges
from ...proxy.in_flight import InFlightRow
from ..live.stream import EventStream
from ..page_request import PageRequest

# Looked at for one page, of which so many are shown.
_MOST: Final = 2000
_SHOWN: Final = 200
_LOOK: Final = 2.0


async def in_flight(request: PageRequest) -> Response:
    """Show what is under way and has a text in its id, its key, its model or where it is."""
    request.admin.only("text")
    found = await _found(request)
    request.admin.viewed("in-flight")
    return await request.page("in_flight.html", active="overview", **found)


async def live(request: PageRequest) -> ASGIApp:
    """Send the table again while it changes."""
    request.admin.only("text")
    sent = b""

    async def next_event() -> tuple[str, Any] | None:
        nonlocal sent
        body = await request.render("parts/in_flight.html", **await _found(request))
        if body == sent:
            return None
        sent = body
        return "update", {"parts": {"in-flight": body.decode()}}

    return EventStream(request.site.open_pages, next_event, _LOOK)


async def _found(request: PageRequest) -> dict[str, Any]:
    text = request.admin.text("text", "").strip()
    found = await exchanges(request.resources, _MOST)
    rows = found.rows
    chosen = [each for each in rows if _has(each, text.lower())] if text else rows
    return {
        "oldest": chosen[:_SHOWN],
        "in_flight": len(chosen) if text else found.total,
        "text": text,
    }


def _has(row: InFlightRow, text: str) -> bool:
    told = (row.request_id, row.token, row.model, row.provider, row.provider_model, row.client_ip)
    return any(text in each.lower() for each in told if each)
