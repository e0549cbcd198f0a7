"""Roles, rights, and the one table that says which right each admin route needs.

A role has all the rights of those before it:

    viewer    figures: usage, costs, health, the request log. No prompts and no answers
    analyst   also content (prompts, answers, captures), and the audit log
    operator  also acts on the gateway: keys, drains, reloads
    admin     also manages users

Users have one role. A key of `[[admins]]` has scopes, which are roles or `metrics`: that one may
read `GET /metrics` and nothing else (every role may read it too).

A route that is not in `ROUTES` cannot be served: `application.AdminApi` refuses to be made with
it. So whoever adds a route has to decide who may call it, and finds here who may call the others.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Final


class Role(enum.StrEnum):
    VIEWER = "viewer"
    ANALYST = "analyst"
    OPERATOR = "operator"
    ADMIN = "admin"


class Right(enum.StrEnum):
    ANYONE = "anyone"  # needs no sign-in
    SIGNED_IN = "signed_in"  # any key or session
    METRICS = "metrics"
    FIGURES = "figures"
    CONTENT = "content"
    AUDIT = "audit"
    OPERATE = "operate"
    USERS = "users"


METRICS_SCOPE: Final = "metrics"
# What a key of [[admins]] may do whose table has no `scopes`: they were added later.
ALL_SCOPES: Final = (Role.ADMIN.value,)

_METRICS: Final = frozenset({Right.ANYONE, Right.SIGNED_IN, Right.METRICS})
_VIEWER: Final = _METRICS | {Right.FIGURES}
_ANALYST: Final = _VIEWER | {Right.CONTENT, Right.AUDIT}
_OPERATOR: Final = _ANALYST | {Right.OPERATE}
_ADMIN: Final = _OPERATOR | {Right.USERS}

OF_SCOPE: Final[Mapping[str, frozenset[Right]]] = {
    METRICS_SCOPE: _METRICS,
    Role.VIEWER: _VIEWER,
    Role.ANALYST: _ANALYST,
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: _ADMIN,
}

# By method and path as in `AdminRoute`: a path that begins with a slash is a page, all others come
# after /admin/api/. GET includes HEAD.
ROUTES: Final[Mapping[tuple[str, str], Right]] = {
    ("GET", "openapi.json"): Right.SIGNED_IN,
    ("GET", "requests"): Right.FIGURES,
    ("GET", "requests/{id:path}"): Right.FIGURES,
    ("GET", "sessions"): Right.FIGURES,
    ("GET", "sessions/{id:path}"): Right.FIGURES,
    ("GET", "in-flight"): Right.FIGURES,
    ("GET", "usage"): Right.FIGURES,
    ("GET", "costs"): Right.FIGURES,
    ("GET", "health"): Right.FIGURES,
    ("GET", "stats"): Right.FIGURES,
    ("GET", "status"): Right.FIGURES,
    ("GET", "export/requests"): Right.FIGURES,
    ("GET", "export/usage"): Right.FIGURES,
    ("GET", "audit"): Right.AUDIT,
    ("GET", "export/audit"): Right.AUDIT,
    ("GET", "debug/{id:path}"): Right.CONTENT,
    ("POST", "reload"): Right.OPERATE,
    ("GET", "keys"): Right.FIGURES,
    ("POST", "keys"): Right.OPERATE,
    ("POST", "keys/{id:path}/rotate"): Right.OPERATE,
    ("POST", "keys/{id:path}/disable"): Right.OPERATE,
    ("POST", "keys/{id:path}/enable"): Right.OPERATE,
    ("POST", "keys/{id:path}/grant"): Right.OPERATE,
    ("GET", "keys/{id:path}"): Right.FIGURES,
    ("PATCH", "keys/{id:path}"): Right.OPERATE,
    ("DELETE", "keys/{id:path}"): Right.OPERATE,
    ("GET", "teams"): Right.FIGURES,
    ("POST", "teams"): Right.OPERATE,
    ("GET", "teams/{id:path}"): Right.FIGURES,
    ("PATCH", "teams/{id:path}"): Right.OPERATE,
    ("DELETE", "teams/{id:path}"): Right.OPERATE,
    ("GET", "processes"): Right.FIGURES,
    ("POST", "processes/{id:path}/drain"): Right.OPERATE,
    ("POST", "processes/{id:path}/enable"): Right.OPERATE,
    ("POST", "hosts/{id:path}/drain"): Right.OPERATE,
    ("POST", "hosts/{id:path}/enable"): Right.OPERATE,
    ("POST", "config/check"): Right.OPERATE,
    ("POST", "config/diff"): Right.OPERATE,
    ("GET", "deployments"): Right.FIGURES,
    ("POST", "deployments/{id:path}/drain"): Right.OPERATE,
    ("POST", "deployments/{id:path}/enable"): Right.OPERATE,
    ("POST", "deployments/{id:path}/reset"): Right.OPERATE,
    ("GET", "capturing"): Right.CONTENT,
    ("POST", "capturing/{id:path}/start"): Right.OPERATE,
    ("POST", "capturing/{id:path}/stop"): Right.OPERATE,
    ("POST", "in-flight/{id:path}/cancel"): Right.OPERATE,
    ("POST", "session"): Right.ANYONE,
    ("GET", "session"): Right.SIGNED_IN,
    ("DELETE", "session"): Right.SIGNED_IN,
    ("POST", "setup"): Right.ANYONE,
    ("GET", "oidc/start"): Right.ANYONE,
    ("GET", "oidc/callback"): Right.ANYONE,
    ("POST", "users/me/password"): Right.SIGNED_IN,
    ("GET", "users"): Right.USERS,
    ("POST", "users"): Right.USERS,
    ("GET", "users/{id}"): Right.USERS,
    ("PATCH", "users/{id}"): Right.USERS,
    ("DELETE", "users/{id}"): Right.USERS,
    ("POST", "users/{id}/password"): Right.USERS,
    ("GET", "users/{id}/sessions"): Right.USERS,
    ("DELETE", "users/{id}/sessions"): Right.USERS,
}


def rights_of(scopes: Iterable[str]) -> frozenset[Right]:
    """Return what `scopes` allow together; a word that is no scope allows nothing."""
    return frozenset().union(*(OF_SCOPE.get(scope, frozenset()) for scope in scopes))


def highest_role(scopes: Iterable[str]) -> Role | None:
    """Return the role among `scopes` that includes the others; None if there is none."""
    held = set(scopes)
    return next((role for role in reversed(Role) if role.value in held), None)
