"""Files to download: the same as the admin API's exports, for a person who has signed in."""

from __future__ import annotations

from starlette.types import ASGIApp

from ...admin.exports import ExportEndpoints
from ..page_request import PageRequest

_EXPORTS = ExportEndpoints()


async def requests(request: PageRequest) -> ASGIApp:
    return await _EXPORTS.requests(request.admin)


async def usage(request: PageRequest) -> ASGIApp:
    return await _EXPORTS.usage(request.admin)


async def audit(request: PageRequest) -> ASGIApp:
    return await _EXPORTS.audit(request.admin)
