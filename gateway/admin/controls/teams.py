"""Teams over HTTP: those of the database can be changed, those of the file are shown."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from ...config.keys.stored import StoredTeam
from ...control import team_view, teams
from ...control.changes import Actor, Precondition, etag
from ...control.known_keys import KnownKeys
from ...control.paging import LIMIT, MAX_LIMIT, page_of, read_cursor
from ...control.team_view import TeamState
from ...control.teams import NewTeam, TeamChange, TeamEdit
from ...errors import NotFound
from ...store.control import stored_teams
from ...store.control.generations import Transaction
from ...store.queries.cursor import check_limit
from ..request import AdminRequest, encoded
from .audit import recorded
from .keys import known_keys, name_text
from .spending import with_spending


class TeamAnswer(msgspec.Struct, frozen=True):
    """A team; one that was deleted is as it was."""

    team: TeamState


async def listed(request: AdminRequest) -> Response:
    """Answer with a page of teams by name, as `rows` and `next`."""
    request.only("text", "cursor", "limit")
    text = name_text(request, "text")
    limit = request.number("limit", LIMIT)
    check_limit(limit, MAX_LIMIT)
    after = read_cursor(request.text("cursor", ""), ["teams", text])
    known = known_keys(request)
    found = await request.database.read(
        lambda connection: team_view.page(
            connection, known, text=text, after=after, limit=limit + 1
        )
    )
    rows = await with_spending(request, found)
    return encoded(page_of(rows, [each.name for each in rows], limit, ["teams", text]))


async def one(request: AdminRequest) -> Response:
    """Answer with a team, and with its ETag if it can be changed."""
    request.only()
    name, known = request.argument, known_keys(request)
    found = await request.database.read(lambda connection: team_view.find(connection, name, known))
    if found is None:
        raise NotFound(f"there is no team {name!r}")
    return await _answer(request, found)


async def create(request: AdminRequest) -> Response:
    """Make a team."""
    request.only()
    new = await request.json(NewTeam)
    made = await change(
        request, lambda connection, known, actor: teams.create(connection, new, known, actor)
    )
    location = f"/admin/api/teams/{quote(made.team.name, safe='')}"
    return await _changed(request, made.team, 201, {"location": location})


async def edit(request: AdminRequest) -> Response:
    """Change a team's limits; needs If-Match."""
    request.only()
    wanted = await request.json(TeamEdit)
    name, match = request.argument, Precondition(request.if_match, required=True)
    made = await change(
        request,
        lambda connection, known, actor: teams.edit(connection, name, wanted, match, known, actor),
    )
    return await _changed(request, made.team)


async def delete(request: AdminRequest) -> Response:
    """Take a team's limits away; its keys keep its name and go on."""
    request.only()
    name, match = request.argument, Precondition(request.if_match)
    made = await change(
        request,
        lambda connection, known, actor: teams.delete(connection, name, match, known, actor),
    )
    return await _changed(request, made.team)


async def change(
    request: AdminRequest, work: Callable[[Transaction, KnownKeys, Actor], TeamChange]
) -> TeamChange:
    """Do `work` and put it into the audit log, in one transaction."""
    known = known_keys(request)
    return await recorded(request, lambda connection, actor: work(connection, known, actor))


async def _changed(
    request: AdminRequest,
    team: StoredTeam,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    known = known_keys(request)
    of_store = await request.database.read(stored_teams.members)
    members = of_store.get(team.name, 0) + known.members.get(team.name, 0)
    return await _answer(request, team_view.stored_view(team, members), status, headers)


async def _answer(
    request: AdminRequest,
    team: TeamState,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    tag = {} if team.version is None else {"etag": etag(team.version)}
    (shown,) = await with_spending(request, [team])
    return encoded(TeamAnswer(shown), status, {**(headers or {}), **tag})
