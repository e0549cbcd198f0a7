"""The routes of the admin API. Which right each needs is in `rights.ROUTES`."""

from __future__ import annotations

from . import control, in_flight, queries, status
from .captures import CaptureEndpoint
from .exports import ExportEndpoints
from .route import AdminRoute


def all_routes() -> list[AdminRoute]:
    exports = ExportEndpoints()
    return [
        AdminRoute("GET", "requests", queries.requests),
        # Callers may choose ids, and those may hold slashes.
        AdminRoute("GET", "requests/{id:path}", queries.one_request),
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
    ]
