"""The routes of what operators change: method, path behind /admin/api/, handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.types import ASGIApp

from .. import in_flight
from ..request import AdminRequest
from . import capturing, deployments, grants, keys, processes, teams

Handler = Callable[[AdminRequest], Awaitable[ASGIApp]]

# Names may hold slashes. So the paths with a word behind the name come first.
CONTROLS: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "processes", processes.listed),
    ("POST", "processes/{id:path}/drain", processes.drain_process),
    ("POST", "processes/{id:path}/enable", processes.enable_process),
    ("POST", "hosts/{id:path}/drain", processes.drain_host),
    ("POST", "hosts/{id:path}/enable", processes.enable_host),
    ("GET", "keys", keys.listed),
    ("POST", "keys", keys.create),
    ("POST", "keys/{id:path}/rotate", keys.rotate),
    ("POST", "keys/{id:path}/disable", keys.disable),
    ("POST", "keys/{id:path}/enable", keys.enable),
    ("POST", "keys/{id:path}/grant", grants.create),
    ("GET", "keys/{id:path}", keys.one),
    ("PATCH", "keys/{id:path}", keys.edit),
    ("DELETE", "keys/{id:path}", keys.revoke),
    ("GET", "teams", teams.listed),
    ("POST", "teams", teams.create),
    ("GET", "teams/{id:path}", teams.one),
    ("PATCH", "teams/{id:path}", teams.edit),
    ("DELETE", "teams/{id:path}", teams.delete),
    ("GET", "capturing", capturing.listed),
    ("POST", "capturing/{id:path}/start", capturing.start),
    ("POST", "capturing/{id:path}/stop", capturing.stop),
    ("POST", "in-flight/{id:path}/cancel", in_flight.cancel),
    ("GET", "deployments", deployments.listed),
    ("POST", "deployments/{id:path}/drain", deployments.drain),
    ("POST", "deployments/{id:path}/enable", deployments.enable),
    ("POST", "deployments/{id:path}/reset", deployments.reset),
)
