"""Capture one key for a while, and stop."""

from __future__ import annotations

from starlette.responses import Response

from ...admin.controls import capturing
from ...admin.controls.capturing import CaptureRequest
from ...errors import InvalidRequest
from ..page_request import PageRequest
from .confirmation import fields_of, read


async def start(request: PageRequest) -> Response:
    fields = await fields_of(request)
    token = _token(fields)
    await capturing.started(request.admin, token, read(fields, CaptureRequest))
    return request.done("debug", "capturing", token)


async def stop(request: PageRequest) -> Response:
    token = _token(await fields_of(request))
    change = await capturing.stopped(request.admin, token)
    return request.done("debug", "already" if change.note is None else "captured", token)


def _token(fields: dict[str, str]) -> str:
    found = fields.get("token", "").strip()
    if not found or "\0" in found or len(found) > 200:
        raise InvalidRequest("Name a key, as the list of keys has it.", param="token")
    return found
