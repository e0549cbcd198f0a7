"""The state of all processes of this gateway, on all its hosts. Nothing here shows any of a key."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from ..group.merging import shown
from .controls.processes import KnownProcesses, whole_state
from .request import AdminRequest, encoded
from .resources import Resources


async def status(request: AdminRequest) -> Response:
    """Answer with how the gateway is (see `GroupState`): all its processes together, and each."""
    request.only()
    return encoded(await whole_state(request.resources))


async def group_state(resources: Resources, told: KnownProcesses) -> dict[str, Any]:
    """Return the same as pages show it, of what the processes have told just before."""
    return shown(await whole_state(resources, told))
