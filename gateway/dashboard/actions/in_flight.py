"""Cancel a request that is under way."""

from __future__ import annotations

from starlette.responses import Response

from ...admin.in_flight import cancelled
from .. import links
from ..page_request import PageRequest
from .confirmation import Confirmation, ask


async def ask_cancel(request: PageRequest) -> Response:
    request_id = request.admin.argument
    wanted = Confirmation(
        title="Cancel",
        subject=request_id,
        says="The provider is let go at once. The caller gets an error, or an error event if its"
        " stream has begun, and is told not to try again. What was used until then is paid.",
        button="Cancel the request",
        action=f"{links.to_item('in-flight', request_id)}/cancel",
        back=links.to(""),
        danger=True,
    )
    return await ask(request, "overview", wanted)


async def cancel(request: PageRequest) -> Response:
    found = await cancelled(request.admin)
    code = "asked" if found.others_asked else "cancelled"
    return request.done("", code, request.admin.argument)
