"""All that is under way, the oldest first, with a way to cancel each."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response
from starlette.types import ASGIApp

from ...admin.in_flight import InFlightList
from ..live.processes import GOOD, MOST, SHOWN
from ..live.stream import EventStream
from ..page_request import PageRequest, Parts

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
    sent: Parts = {}
    key = ("in-flight", request.may_operate, _text(request))

    async def read() -> Parts:
        found = await _found(request)
        return await request.render_parts({"in-flight": "parts/in_flight.html"}, **found)

    async def next_event() -> tuple[str, Any] | None:
        nonlocal sent
        parts: Parts = await request.site.processes.parts.get(key, GOOD, read)
        if parts == sent:
            return None
        sent = parts
        return "update", {"parts": parts}

    return EventStream(request.site.open_pages, next_event, _LOOK)


async def _found(request: PageRequest) -> dict[str, Any]:
    text = _text(request)
    # Only who searches has more looked at than are shown: each takes the event loop some time.
    found = await request.site.processes.under_way(MOST if text else SHOWN)
    chosen = _having(found, text.lower()) if text else found.rows
    return {
        "oldest": chosen[:SHOWN],
        "in_flight": len(chosen) if text else found.total,
        "text": text,
    }


def _text(request: PageRequest) -> str:
    return request.admin.text("text", "").strip()


def _having(found: InFlightList, text: str) -> list[Any]:
    """Return the requests that have `text` in their id, their key, their model or their place."""
    chosen = []
    for row in found.rows:
        names = (row.request_id, row.token, row.model, row.provider, row.provider_model)
        if any(text in each.lower() for each in (*names, row.client_ip, row.host) if each):
            chosen.append(row)
    return chosen
