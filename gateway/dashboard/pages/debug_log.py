"""What the debug log has kept, and how it is doing."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final

import trio
from starlette.responses import Response

from ...admin.controls.capturing import windows
from ...errors import StoreUnavailable
from ...store.control.capture_windows import CaptureWindow
from ...store.queries import request_log
from .. import links
from ..actions.confirmation import SPANS
from ..page_request import PageRequest
from ..views.capture_list import CapturePage, captures_page
from ..views.explanations import ENDS
from ..views.key_names import key_names

_LIMIT: Final = 50


async def debug_log(request: PageRequest) -> Response:
    request.admin.only("text", "start", "key")
    text, start = request.admin.text("text", "").strip(), request.admin.number("start", 0)
    folder = request.resources.captures
    page = None if folder is None else await _page(request, folder, text, start)
    ids = [each.request_id for each in page.rows if each.request_id] if page else []
    state = (await request.site.processes.state()).get("debug_log")
    config = request.site.config()
    request.admin.viewed("debug")
    template = "debug.html"
    if request.wants_part:
        template = "parts/debug_rows.html" if start else "parts/debug_results.html"
    next_ = page.next if page else None
    return await request.page(
        template,
        active="debug",
        captures=page,
        known=await _known(request, ids),
        text=text,
        ends=ENDS,
        state=state,
        key=request.admin.text("key", ""),
        settings=config.debug_log,
        retention=config.retention,
        windows=await _windows(request),
        names=key_names(request.resources.snapshot()),
        spans=SPANS,
        next=next_ and links.with_params(request.path, request.admin.params, start=next_),
    )


async def _page(request: PageRequest, folder: Path, text: str, start: int) -> CapturePage:
    def read() -> CapturePage:
        return captures_page(folder, text, start, _LIMIT)

    try:
        return await trio.to_thread.run_sync(
            read, abandon_on_cancel=True, limiter=request.site.readers
        )
    except OSError as exc:
        raise StoreUnavailable(f"The debug log cannot be read: {exc.strerror}.") from exc


async def _windows(request: PageRequest) -> list[CaptureWindow]:
    """Return the keys that are captured for a while; none where the database cannot say."""
    try:
        return (await windows(request.admin)).rows
    except StoreUnavailable:
        return []


async def _known(request: PageRequest, ids: list[str]) -> dict[str, dict[str, Any]]:
    """Return what the request log has of the captures, by their ids; without it, the list stays."""
    if request.database is None or not ids:
        return {}
    try:
        return await request.read(partial(request_log.latest, request_ids=ids))
    except StoreUnavailable:
        return {}
