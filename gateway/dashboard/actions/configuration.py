"""Reload the configuration; say what a pasted one would change."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from ...admin.control import reloaded
from ...admin.controls.configuration import ExaminedConfig, examined
from .. import links
from ..page_request import PageRequest
from .confirmation import Confirmation, ask, fields_of

# Bytes of the form, in which a character may take nine. The admin API takes larger files.
MOST_BYTES: Final = 3 * 1024 * 1024


async def ask_reload(request: PageRequest) -> Response:
    path = request.resources.control.reload_status.path
    wanted = Confirmation(
        title="Reload",
        subject=path,
        says="The file is read again, by all processes of this gateway. If anything is wrong with"
        " it, nothing changes. Requests under way finish on what they began with.",
        button="Reload",
        action=links.to("settings/reload"),
        back=links.to("settings"),
    )
    return await ask(request, "settings", wanted)


async def reload(request: PageRequest) -> Response:
    outcome = await reloaded(request.admin)
    if outcome.reloaded:
        return request.done("settings", "reloaded", str(outcome.generation))
    count = len(outcome.problems)
    name = "1 problem" if count == 1 else f"{count} problems"
    return request.done("settings", "reload-failed", name)


async def ask_check(request: PageRequest) -> Response:
    """Show the form into which a file is pasted."""
    return await _show(request, "", "", None)


async def check(request: PageRequest) -> Response:
    """Show what is wrong with a pasted file, and what it would change."""
    fields = await fields_of(request)
    text, tokens = fields.get("text", ""), fields.get("tokens", "")
    found = await examined(request.admin, text, tokens, request.site.checks)
    return await _show(request, text, tokens, found)


async def _show(
    request: PageRequest, text: str, tokens: str, found: ExaminedConfig | None
) -> Response:
    request.admin.only()
    return await request.page(
        "check.html",
        active="settings",
        text=text,
        tokens=tokens,
        checked=found and found.checked,
        compared=found and found.compared,
    )
