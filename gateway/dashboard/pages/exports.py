"""Files to download: the same as the admin API's exports, for a person who has signed in."""

from __future__ import annotations

from starlette.types import ASGIApp

from ...admin.exports import ExportEndpoints
from ...admin.request import encoded
from ..page_request import PageRequest

_EXPORTS = ExportEndpoints()


async def requests(request: PageRequest) -> ASGIApp:
    return await _EXPORTS.requests(request.admin)


async def usage(request: PageRequest) -> ASGIApp:
    return await _EXPORTS.usage(request.admin)


async def audit(request: PageRequest) -> ASGIApp:
    return await _EXPORTS.audit(request.admin)


async def progress(request: PageRequest) -> ASGIApp:
    """Say how far one's own export has come; null if another process serves it."""
    request.admin.only("track")
    return encoded(_EXPORTS.progress(request.admin.who, request.admin.text("track", "")))
