"""Take a process or a host out of service, put it back."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from ...admin.controls import processes
from ...admin.controls.processes import ProcessDrainRequest
from ...core.processes import host_target, process_target
from .. import links
from ..page_request import PageRequest
from .confirmation import SPANS, Confirmation, FormField, ask, fields_of, read

_PAGE: Final = "settings"
_REASON: Final = FormField(
    name="reason", label="Why", hint="For those who see it in the list and in the audit log"
)
_FOR: Final = FormField(
    name="for", label="For", choices=(*SPANS, ("604800", "7 days")), value="3600"
)
_DRAINED: Final = (
    "It says that it is not ready, so that load balancers send requests elsewhere, and asks clients"
    " to move. What is under way is finished, and what comes all the same is served. The drain"
    " ends by itself."
)
_ENABLED: Final = "It says that it is ready again."


async def ask_drain_host(request: PageRequest) -> Response:
    return await _ask(request, "hosts", "drain")


async def ask_enable_host(request: PageRequest) -> Response:
    return await _ask(request, "hosts", "enable")


async def ask_drain_process(request: PageRequest) -> Response:
    return await _ask(request, "processes", "drain")


async def ask_enable_process(request: PageRequest) -> Response:
    return await _ask(request, "processes", "enable")


async def drain_host(request: PageRequest) -> Response:
    return await _drain(request, host_target(request.admin.argument))


async def enable_host(request: PageRequest) -> Response:
    return await _enable(request, host_target(request.admin.argument))


async def drain_process(request: PageRequest) -> Response:
    return await _drain(request, process_target(request.admin.argument))


async def enable_process(request: PageRequest) -> Response:
    return await _enable(request, process_target(request.admin.argument))


async def _drain(request: PageRequest, target: str) -> Response:
    wanted = read(await fields_of(request), ProcessDrainRequest)
    await processes.drained(request.admin, target, wanted)
    return request.done(_PAGE, "out", request.admin.argument)


async def _enable(request: PageRequest, target: str) -> Response:
    change = await processes.enabled(request.admin, target)
    code = "already" if change.note is None else "back"
    return request.done(_PAGE, code, request.admin.argument)


async def _ask(request: PageRequest, kind: str, verb: str) -> Response:
    name, drains = request.admin.argument, verb == "drain"
    wanted = Confirmation(
        title=f"{verb.capitalize()} the {'host' if kind == 'hosts' else 'process'}",
        subject=name,
        says=_DRAINED if drains else _ENABLED,
        button=verb.capitalize(),
        action=f"{links.to_item(kind, name)}/{verb}",
        back=links.to(_PAGE),
        fields=(_FOR, _REASON) if drains else (),
        danger=drains,
    )
    return await ask(request, _PAGE, wanted)
