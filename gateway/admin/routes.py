"""The routes of the admin API. Which right each needs is in `rights.ROUTES`."""

from __future__ import annotations

from . import control, in_flight, queries, status
from .accounts import session, setup, users
from .captures import CaptureEndpoint
from .controls.configuration import MOST_BYTES, ConfigurationEndpoints
from .controls.openapi import OpenApiEndpoint
from .controls.routes import CONTROLS
from .exports import ExportEndpoints
from .oidc.endpoints import OidcEndpoints
from .route import AdminRoute


def all_routes() -> list[AdminRoute]:
    exports, oidc, pasted = ExportEndpoints(), OidcEndpoints(), ConfigurationEndpoints()
    described = OpenApiEndpoint()
    described.routes = routes = [
        AdminRoute("GET", "openapi.json", described.show),
        AdminRoute("GET", "requests", queries.requests),
        # Callers may choose ids, and those may hold slashes.
        AdminRoute("GET", "requests/{id:path}", queries.one_request),
        AdminRoute("GET", "sessions", queries.sessions),
        AdminRoute("GET", "sessions/{id:path}", queries.one_session),
        AdminRoute("GET", "in-flight", in_flight.in_flight),
        AdminRoute("GET", "audit", queries.audit),
        AdminRoute("GET", "usage", queries.used),
        AdminRoute("GET", "costs", queries.costs),
        AdminRoute("GET", "health", queries.health),
        AdminRoute("GET", "stats", queries.figures),
        AdminRoute("GET", "export/requests", exports.requests),
        AdminRoute("GET", "export/audit", exports.audit),
        AdminRoute("GET", "export/usage", exports.usage),
        AdminRoute("GET", "debug/{id:path}", CaptureEndpoint().show),
        AdminRoute("GET", "status", status.status),
        AdminRoute("POST", "reload", control.reload),
        *(AdminRoute(*each) for each in CONTROLS),
        AdminRoute("POST", "config/check", pasted.check, MOST_BYTES),
        AdminRoute("POST", "config/diff", pasted.compare, MOST_BYTES),
        AdminRoute("POST", "session", session.sign_in),
        AdminRoute("GET", "session", session.current),
        AdminRoute("DELETE", "session", session.sign_out),
        AdminRoute("POST", "setup", setup.set_up),
        AdminRoute("GET", "oidc/start", oidc.start),
        AdminRoute("GET", "oidc/callback", oidc.callback),
        # Before the ids, which have another form.
        AdminRoute("POST", "users/me/password", session.own_password),
        AdminRoute("GET", "users", users.listed),
        AdminRoute("POST", "users", users.create),
        AdminRoute("GET", "users/{id}", users.one),
        AdminRoute("PATCH", "users/{id}", users.change),
        AdminRoute("DELETE", "users/{id}", users.remove),
        AdminRoute("POST", "users/{id}/password", users.set_password),
        AdminRoute("GET", "users/{id}/sessions", users.sessions_of),
        AdminRoute("DELETE", "users/{id}/sessions", users.end_sessions),
    ]
    return routes
