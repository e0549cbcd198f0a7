"""What routes of the admin API take and answer, as its description has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from ...captures.search import FoundCaptures
from ...control.configuration import CheckedConfig, ComparedConfig, PastedConfig
from ...control.key_order import SORTS
from ...control.key_view import MOST_TEXT, STATES, KeyView
from ...control.keys import KeyEdit, NewKey
from ...control.paging import MAX_LIMIT, NamePage
from ...control.team_view import TeamState
from ...control.teams import NewTeam, TeamEdit
from ...core.records.periods import BY_NAME
from ...group.known.hosts import ProcessView
from ...group.merging import GroupState
from ...store.accounts.users import User
from ...store.export.export import MEDIA_TYPES, ExportFormat
from ...store.queries import agent_sessions, request_log, usage
from ...store.queries.agent_sessions import SessionPage
from ...store.queries.filters import CHOICES_OF, TRUTHS, AuditFilter, Filter
from ...store.queries.request_log import RequestPage
from ...store.queries.rollup_sums import GROUPS
from ...store.queries.session_thread import SessionSummary
from ...store.queries.stats import MAX_HEALTH_MINUTES, Summary
from ...store.queries.usage import CostReport, UsageReport
from ...store.queries.user_usage import USER
from ..accounts.session import OwnPassword, SessionView, SignInForm
from ..accounts.setup import FirstUser
from ..accounts.users import (
    ChangedUser,
    NewPassword,
    NewUser,
    SessionList,
    SessionsEnded,
    UserRemoved,
)
from ..control import ReloadAnswer
from ..exports import WORD
from ..in_flight import Cancelled, InFlightList
from ..queries import MOST_TOP, HealthReport, RequestsOfId
from ..rights import ROUTES, Right
from .capturing import CaptureRequest, WindowList, WindowView
from .deployments import DeploymentAnswer, DeploymentView, DrainRequest
from .grants import GrantAnswer
from .keys import KeyAnswer, RotateRequest
from .processes import HostAnswer, ProcessAnswer, ProcessDrainRequest
from .teams import TeamAnswer

RouteKey = tuple[str, str]

BODIES: Final[Mapping[RouteKey, Any]] = {
    ("POST", "keys"): NewKey,
    ("PATCH", "keys/{id:path}"): KeyEdit,
    ("POST", "keys/{id:path}/rotate"): RotateRequest,
    ("POST", "deployments/{id:path}/drain"): DrainRequest,
    ("POST", "teams"): NewTeam,
    ("PATCH", "teams/{id:path}"): TeamEdit,
    ("POST", "capturing/{id:path}/start"): CaptureRequest,
    ("POST", "processes/{id:path}/drain"): ProcessDrainRequest,
    ("POST", "hosts/{id:path}/drain"): ProcessDrainRequest,
    ("POST", "config/check"): PastedConfig,
    ("POST", "config/diff"): PastedConfig,
    ("POST", "session"): SignInForm,
    ("POST", "setup"): FirstUser,
    ("POST", "users"): NewUser,
    ("PATCH", "users/{id}"): ChangedUser,
    ("POST", "users/{id}/password"): NewPassword,
    ("POST", "users/me/password"): OwnPassword,
}
# Bodies that may be left out, for what they say by default.
OPTIONAL: Final = (RotateRequest, DrainRequest, CaptureRequest, ProcessDrainRequest)
ANSWERS: Final[Mapping[RouteKey, Any]] = {
    ("GET", "keys"): NamePage[KeyView],
    **{
        key: KeyAnswer
        for key in ROUTES
        if key[1].startswith("keys") and key != ("GET", "keys")
    },
    ("POST", "keys/{id:path}/grant"): GrantAnswer,
    ("GET", "capturing"): WindowList,
    **{key: WindowView for key in ROUTES if key[1].startswith("capturing/")},
    ("GET", "teams"): NamePage[TeamState],
    **{
        key: TeamAnswer
        for key in ROUTES
        if key[1].startswith("teams") and key != ("GET", "teams")
    },
    ("GET", "sessions"): SessionPage,
    ("GET", "sessions/{id:path}"): SessionSummary,
    ("GET", "deployments"): NamePage[DeploymentView],
    **{key: DeploymentAnswer for key in ROUTES if key[1].startswith("deployments/")},
    ("GET", "processes"): NamePage[ProcessView],
    **{key: ProcessAnswer for key in ROUTES if key[1].startswith("processes/")},
    **{key: HostAnswer for key in ROUTES if key[1].startswith("hosts/")},
    ("GET", "in-flight"): InFlightList,
    ("POST", "in-flight/{id:path}/cancel"): Cancelled,
    ("POST", "config/check"): CheckedConfig,
    ("POST", "config/diff"): ComparedConfig,
    ("GET", "requests"): RequestPage,
    ("GET", "requests/{id:path}"): RequestsOfId,
    ("GET", "audit"): RequestPage,
    ("GET", "usage"): UsageReport,
    ("GET", "costs"): CostReport,
    ("GET", "stats"): Summary,
    ("GET", "health"): HealthReport,
    ("GET", "status"): GroupState,
    ("GET", "debug/{id:path}"): FoundCaptures,
    ("GET", "openapi.json"): dict[str, Any],
    ("POST", "reload"): ReloadAnswer,
    ("POST", "session"): SessionView,
    ("GET", "session"): SessionView,
    ("DELETE", "session"): SessionsEnded,
    ("POST", "setup"): SessionView,
    ("POST", "users/me/password"): SessionView,
    ("GET", "users"): NamePage[User],
    ("POST", "users"): User,
    ("GET", "users/{id}"): User,
    ("PATCH", "users/{id}"): User,
    ("DELETE", "users/{id}"): UserRemoved,
    ("POST", "users/{id}/password"): User,
    ("GET", "users/{id}/sessions"): SessionList,
    ("DELETE", "users/{id}/sessions"): SessionsEnded,
}  # fmt: skip
# What is answered with another type than JSON.
MEDIA: Final[Mapping[RouteKey, tuple[str, ...]]] = {
    ("GET", f"export/{what}"): tuple(MEDIA_TYPES.values())
    for what in ("requests", "usage", "audit")
}
# Successes other than 200 alone. A browser is sent on by 303.
SUCCESSES: Final[Mapping[RouteKey, tuple[str, ...]]] = {
    ("POST", "keys"): ("201",),
    ("POST", "keys/{id:path}/grant"): ("201",),
    ("POST", "teams"): ("201",),
    ("POST", "users"): ("201",),
    ("POST", "setup"): ("201",),
    ("POST", "in-flight/{id:path}/cancel"): ("200", "202"),
    ("GET", "oidc/start"): ("303",),
    ("GET", "oidc/callback"): ("303",),
}
NEEDS_IF_MATCH: Final = frozenset(
    {
        ("PATCH", "keys/{id:path}"),
        ("PATCH", "teams/{id:path}"),
        ("PATCH", "users/{id}"),
        ("DELETE", "users/{id}"),
    }
)
_COMMON: Final = ("400", "401", "403", "404", "408", "413", "503")


def errors_of(key: RouteKey) -> tuple[str, ...]:
    """Return the statuses of errors that a route may answer with."""
    method, path = key
    more: list[str] = []
    changes = method in ("PATCH", "DELETE") or key in BODIES
    if path.startswith(("keys", "users", "teams")) and (changes or method == "POST"):
        more += ["409", "412"]
    if key in NEEDS_IF_MATCH:
        more.append("428")
    if ROUTES[key] is Right.ANYONE or path == "users/me/password":
        more.append("429")
    if path == "reload":
        more.append("422")
    if path.startswith("oidc/"):
        more += ["429", "502"]
    return tuple(sorted({*_COMMON, *more}))


def parameters_of(key: RouteKey) -> list[dict[str, Any]]:
    """Return what may stand in the path, in the query and in the headers of a route."""
    found = [*_PARAMETERS.get(key, ())]
    if key in NEEDS_IF_MATCH:
        found.append({"name": "if-match", "in": "header", "required": True, "schema": _TEXT})
    if "{id" in key[1]:
        found.insert(
            0,
            {
                "name": "id",
                "in": "path",
                "required": True,
                "description": "Percent-encoded; a slash may stand as it is.",
                "schema": {"type": "string", "minLength": 1},
            },
        )
    return found


_TEXT: Final = {"type": "string"}


def _query(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": dict(schema)}


def _choice(name: str, choices: Iterable[str]) -> dict[str, Any]:
    return _query(name, {"type": "string", "enum": [str(each) for each in choices]})


def _whole(name: str, least: int, most: int) -> dict[str, Any]:
    return _query(name, {"type": "integer", "minimum": least, "maximum": most})


def _listed(name: str, *choices: str) -> dict[str, Any]:
    items: dict[str, Any] = {"type": "string"}
    if choices:
        items["enum"] = list(choices)
    return _query(name, {"type": "array", "items": items})


def _filters(kind: type[Filter] | type[AuditFilter]) -> tuple[dict[str, Any], ...]:
    """Return the parameters that a filter is read from."""
    found = []
    for field in msgspec.structs.fields(kind):
        if field.name == "written":
            continue
        if field.default == ():
            found.append(_listed(field.name, *CHOICES_OF.get(field.name, ())))
        elif field.name in ("failed", "stream", "cached"):
            found.append(_choice(field.name, TRUTHS))
        else:
            found.append(_query(field.name, _TEXT))
    return tuple(found)


def _of_figures(filters: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return the parameters that figures, which are kept by few things, can be chosen by."""
    return tuple(each for each in filters if each["name"] in {*GROUPS, "since", "until"})


_PAGE: Final = (_query("cursor", _TEXT), _whole("limit", 1, MAX_LIMIT))
_REQUESTS, _AUDIT = _filters(Filter), _filters(AuditFilter)
_FIGURES: Final = _of_figures(_REQUESTS)
_FORMAT: Final = _choice("format", ExportFormat)
_TRACK: Final = _query("track", {"type": "string", "pattern": f"^{WORD}$"})
_BY: Final = _choice("by", agent_sessions.KINDS)
_NAME_PART: Final = _query("text", {"type": "string", "maxLength": MOST_TEXT})
_PARAMETERS: Final[Mapping[RouteKey, tuple[dict[str, Any], ...]]] = {
    ("GET", "requests"): (
        *_REQUESTS,
        _choice("sort", request_log.SORTS),
        _choice("order", ("desc", "asc")),
        *_PAGE,
    ),
    ("GET", "audit"): (*_AUDIT, *_PAGE),
    ("GET", "usage"): (
        *_FIGURES,
        # By user alone, and then without buckets: they are counted from the requests.
        _listed("group_by", *GROUPS, USER),
        _choice("bucket", usage.BUCKETS),
    ),
    ("GET", "costs"): (*_FIGURES, _listed("group_by", *GROUPS)),
    ("GET", "stats"): (*_FIGURES, _whole("top", 1, MOST_TOP)),
    ("GET", "health"): (_whole("minutes", 1, MAX_HEALTH_MINUTES),),
    ("GET", "export/requests"): (*_REQUESTS, _FORMAT, _TRACK),
    ("GET", "export/usage"): (
        *_FIGURES,
        _FORMAT,
        _choice("period", BY_NAME),
        _choice("by", ("team",)),
        _TRACK,
    ),
    ("GET", "export/audit"): (*_AUDIT, _FORMAT, _TRACK),
    ("GET", "in-flight"): _PAGE,
    ("GET", "keys"): (
        _NAME_PART,
        _listed("team"),
        _listed("state", *STATES),
        _choice("source", ("any", "store", "file")),
        _choice("sort", SORTS),
        _choice("order", ("asc", "desc")),
        *_PAGE,
    ),
    ("GET", "sessions"): (
        *_REQUESTS,
        _BY,
        _query("cursor", _TEXT),
        _whole("limit", 1, agent_sessions.MAX_LIMIT),
    ),
    ("GET", "sessions/{id:path}"): (_BY,),
    ("GET", "teams"): (_NAME_PART, *_PAGE),
    **{("GET", name): _PAGE for name in ("deployments", "processes", "users")},
    ("DELETE", "session"): (_choice("everywhere", ("true", "false")),),
    ("GET", "oidc/start"): (_query("next", _TEXT),),
    ("GET", "oidc/callback"): (_query("state", _TEXT), _query("code", _TEXT)),
}
