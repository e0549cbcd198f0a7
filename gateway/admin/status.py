"""The state of all processes of this gateway. Nothing here shows any of a key."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from ..group.merging import shown
from .request import AdminRequest, encoded
from .resources import Resources


async def status(request: AdminRequest) -> Response:
    """Answer with how the gateway is (see `GroupState`): all its processes together, and each."""
    request.only()
    return encoded(await request.resources.group.state())


async def group_state(resources: Resources) -> dict[str, Any]:
    """Return the same as pages show it."""
    return shown(await resources.group.state())
