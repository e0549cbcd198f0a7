"""Files to download: the same as the admin API's exports, for a person who has signed in."""

from __future__ import annotations

from starlette.types import ASGIApp

from ...admin.exports import ExportEndpoints
from ...admin.request import encoded
from ..page_request import PageRequest

_EXPORTS = ExportEndpoints()
# As long as a word to watch one by may be.
_LONGEST = 64


async def requests(request: PageRequest) -> ASGIApp:
    return await _EXPORTS.requests(request.admin)


async def usage(request: PageRequest) -> ASGIApp:
    return await _EXPORTS.usage(request.admin)


async def audit(request: PageRequest) -> ASGIApp:
    return await _EXPORTS.audit(request.admin)


async def progress(request: PageRequest) -> ASGIApp:
    """Say how far one's own export has come, whichever process sends it; null if none says so."""
    request.admin.only("track")
    word = request.admin.text("track", "")[:_LONGEST]
    return encoded(await request.resources.group.export(request.admin.who, word))
