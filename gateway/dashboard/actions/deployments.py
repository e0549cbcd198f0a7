"""Drain a deployment, let it in again, close its breaker."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from ...admin.controls import deployments
from ...admin.controls.deployments import DrainRequest
from .. import links
from ..page_request import PageRequest
from .confirmation import SPANS, Confirmation, FormField, ask, fields_of, read

_PAGE: Final = "models"
_REASON: Final = FormField(
    name="reason", label="Why", hint="For those who see it in the list and in the audit log"
)
_FOR: Final = FormField(
    name="for", label="For", choices=(*SPANS, ("604800", "7 days")), value="3600"
)


async def ask_drain(request: PageRequest) -> Response:
    return await _ask(
        request,
        "drain",
        title="Drain",
        says="It is sent nothing new. Requests that are on it are finished. The drain ends by"
        " itself, in all processes.",
        button="Drain",
        fields=(_FOR, _REASON),
        danger=True,
    )


async def ask_enable(request: PageRequest) -> Response:
    return await _ask(
        request,
        "enable",
        title="Enable",
        says="Requests are sent to it again, in all processes.",
        button="Enable",
    )


async def ask_reset(request: PageRequest) -> Response:
    return await _ask(
        request,
        "reset",
        title="Reset the breaker of",
        says="Its breaker is closed in every process and its failures are forgotten. It begins with"
        " a slow start; if it still fails, the breaker opens again.",
        button="Reset breaker",
    )


async def drain(request: PageRequest) -> Response:
    wanted = read(await fields_of(request), DrainRequest)
    await deployments.drained(request.admin, wanted)
    return request.done(_PAGE, "drained", request.admin.argument)


async def enable(request: PageRequest) -> Response:
    change = await deployments.enabled(request.admin)
    code = "already" if change.note is None else "enabled"
    return request.done(_PAGE, code, request.admin.argument)


async def reset(request: PageRequest) -> Response:
    await deployments.was_reset(request.admin)
    return request.done(_PAGE, "reset", request.admin.argument)


async def _ask(
    request: PageRequest,
    verb: str,
    *,
    title: str,
    says: str,
    button: str,
    fields: tuple[FormField, ...] = (),
    danger: bool = False,
) -> Response:
    name = request.admin.argument
    wanted = Confirmation(
        title=title,
        subject=name,
        says=says,
        button=button,
        action=f"{links.to_item(_PAGE, name)}/{verb}",
        back=links.to(_PAGE),
        fields=fields,
        danger=danger,
    )
    return await ask(request, _PAGE, wanted)
