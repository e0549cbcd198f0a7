"""The table of pages: the address of each, what answers it, and the right that it needs.

To the pages what `admin/rights.py` is to the API: one that is not in it cannot be served.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.types import ASGIApp

from ..admin.rights import Right
from ..admin.route import BODY_BYTES
from .actions import capturing, configuration, deployments, in_flight, processes, replaying
from .page_request import PageRequest
from .pages import (
    audit,
    debug_log,
    exports,
    models,
    overview,
    playground,
    request_detail,
    requests,
    sessions,
    settings,
    sign_in,
    usage,
)
from .pages import in_flight as in_flight_list
from .pages.keys import changes, key, listing, teams

PageHandler = Callable[[PageRequest], Awaitable[ASGIApp]]


class PageRoute(NamedTuple):
    """A GET takes HEAD as well."""

    method: str
    path: str
    handler: PageHandler
    right: Right
    body_bytes: int = BODY_BYTES


ROUTES = (
    PageRoute("GET", "/admin/sign-in", sign_in.form, Right.ANYONE),
    PageRoute("POST", "/admin/sign-in", sign_in.sign_in, Right.ANYONE),
    PageRoute("GET", "/admin/setup", sign_in.set_up, Right.ANYONE),
    PageRoute("POST", "/admin/sign-out", sign_in.sign_out, Right.SIGNED_IN),
    PageRoute("GET", "/admin", overview.overview, Right.FIGURES),
    PageRoute("GET", "/admin/live/overview", overview.live, Right.FIGURES),
    PageRoute("GET", "/admin/requests", requests.requests, Right.FIGURES),
    PageRoute("GET", "/admin/live/requests", requests.live, Right.FIGURES),
    PageRoute("POST", "/admin/requests/{id:path}/replay", replaying.replay, Right.CONTENT),
    PageRoute("GET", "/admin/requests/{id:path}", request_detail.one, Right.FIGURES),
    PageRoute("GET", "/admin/sessions", sessions.sessions, Right.FIGURES),
    PageRoute("GET", "/admin/session", sessions.one, Right.FIGURES),
    PageRoute("GET", "/admin/keys", listing.keys, Right.FIGURES),
    PageRoute("POST", "/admin/keys", changes.create, Right.OPERATE),
    PageRoute("GET", "/admin/new-key", key.new, Right.OPERATE),
    # Names of keys may be anything, so what is done with one is said in the form.
    PageRoute("GET", "/admin/keys/{id:path}", key.one, Right.FIGURES),
    PageRoute("POST", "/admin/keys/{id:path}", changes.change, Right.OPERATE),
    PageRoute("GET", "/admin/teams", teams.listed, Right.FIGURES),
    PageRoute("POST", "/admin/teams", teams.create, Right.OPERATE),
    PageRoute("GET", "/admin/new-team", teams.new, Right.OPERATE),
    PageRoute("GET", "/admin/teams/{id:path}", teams.one, Right.FIGURES),
    PageRoute("POST", "/admin/teams/{id:path}", teams.change, Right.OPERATE),
    PageRoute("GET", "/admin/playground", playground.playground, Right.FIGURES),
    PageRoute("GET", "/admin/playground/trail/{id:path}", playground.trail, Right.FIGURES),
    PageRoute("GET", "/admin/models", models.models, Right.FIGURES),
    PageRoute("GET", "/admin/models/{id:path}/drain", deployments.ask_drain, Right.OPERATE),
    PageRoute("POST", "/admin/models/{id:path}/drain", deployments.drain, Right.OPERATE),
    PageRoute("GET", "/admin/models/{id:path}/enable", deployments.ask_enable, Right.OPERATE),
    PageRoute("POST", "/admin/models/{id:path}/enable", deployments.enable, Right.OPERATE),
    PageRoute("GET", "/admin/models/{id:path}/reset", deployments.ask_reset, Right.OPERATE),
    PageRoute("POST", "/admin/models/{id:path}/reset", deployments.reset, Right.OPERATE),
    PageRoute("GET", "/admin/in-flight", in_flight_list.in_flight, Right.FIGURES),
    PageRoute("GET", "/admin/live/in-flight", in_flight_list.live, Right.FIGURES),
    PageRoute("GET", "/admin/in-flight/{id:path}/cancel", in_flight.ask_cancel, Right.OPERATE),
    PageRoute("POST", "/admin/in-flight/{id:path}/cancel", in_flight.cancel, Right.OPERATE),
    PageRoute("GET", "/admin/usage", usage.usage, Right.FIGURES),
    PageRoute("GET", "/admin/audit", audit.audit, Right.AUDIT),
    PageRoute("GET", "/admin/debug", debug_log.debug_log, Right.CONTENT),
    PageRoute("POST", "/admin/debug/capture", capturing.start, Right.OPERATE),
    PageRoute("POST", "/admin/debug/stop", capturing.stop, Right.OPERATE),
    PageRoute("GET", "/admin/settings", settings.settings, Right.FIGURES),
    PageRoute("GET", "/admin/hosts/{id:path}/drain", processes.ask_drain_host, Right.OPERATE),
    PageRoute("POST", "/admin/hosts/{id:path}/drain", processes.drain_host, Right.OPERATE),
    PageRoute("GET", "/admin/hosts/{id:path}/enable", processes.ask_enable_host, Right.OPERATE),
    PageRoute("POST", "/admin/hosts/{id:path}/enable", processes.enable_host, Right.OPERATE),
    PageRoute(
        "GET", "/admin/processes/{id:path}/drain", processes.ask_drain_process, Right.OPERATE
    ),
    PageRoute("POST", "/admin/processes/{id:path}/drain", processes.drain_process, Right.OPERATE),
    PageRoute(
        "GET", "/admin/processes/{id:path}/enable", processes.ask_enable_process, Right.OPERATE
    ),
    PageRoute("POST", "/admin/processes/{id:path}/enable", processes.enable_process, Right.OPERATE),
    PageRoute("GET", "/admin/export/progress", exports.progress, Right.FIGURES),
    PageRoute("GET", "/admin/settings/reload", configuration.ask_reload, Right.OPERATE),
    PageRoute("POST", "/admin/settings/reload", configuration.reload, Right.OPERATE),
    PageRoute("GET", "/admin/settings/check", configuration.ask_check, Right.OPERATE),
    PageRoute(
        "POST",
        "/admin/settings/check",
        configuration.check,
        Right.OPERATE,
        configuration.MOST_BYTES,
    ),
    PageRoute("GET", "/admin/export/requests", exports.requests, Right.FIGURES),
    PageRoute("GET", "/admin/export/usage", exports.usage, Right.FIGURES),
    PageRoute("GET", "/admin/export/audit", exports.audit, Right.AUDIT),
)
RIGHTS = {(each.method, each.path): each.right for each in ROUTES}
