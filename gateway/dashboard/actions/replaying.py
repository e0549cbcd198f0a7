"""Note that a captured request is sent again, before the page's script does it."""

from __future__ import annotations

from starlette.responses import Response

from ...core.records.audit import AuditAction, AuditResult
from ..asking.captured import rows_of
from ..page_request import PageRequest


async def replay(request: PageRequest) -> Response:
    """Put it into the audit log. The new request says in its record which one it repeats."""
    request_id = request.admin.argument
    await rows_of(request, request_id)
    request.admin.audit(AuditAction.CAPTURE_REPLAYED, AuditResult.OK, request_id, by="playground")
    return Response(status_code=204)
