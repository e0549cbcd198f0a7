"""The list of teams, one team, and what its forms do."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from ....admin.controls import teams as api
from ....admin.controls.keys import known_keys
from ....admin.controls.spending import with_spending
from ....admin.rights import Right
from ....control import key_view, team_view, teams
from ....control.changes import Actor, Precondition
from ....control.key_view import KeyFilter, KeyView
from ....control.known_keys import KnownKeys
from ....control.paging import page_of, read_cursor
from ....control.team_view import KEYS_ONLY, TeamState
from ....control.teams import NewTeam, TeamChange, TeamEdit
from ....errors import Conflict, InvalidRequest, NotFound, PermissionDenied, PreconditionFailed
from ....store.control.generations import Transaction
from ... import links
from ...page_request import PageRequest
from ...views import term_form
from ...views.term_form import TermForm
from .changes import differing
from .listing import LIMIT, STATES, name_part

_MEMBERS: Final = 50


async def listed(request: PageRequest) -> Response:
    """Show a page of teams by name."""
    request.admin.only("text", "cursor")
    text = name_part(request, "text")
    cursor = request.admin.text("cursor", "")
    after = read_cursor(cursor, ["teams", text])
    known = known_keys(request.admin)
    found = await request.read(
        lambda connection: team_view.page(
            connection, known, text=text, after=after, limit=LIMIT + 1
        ),
        here=True,
    )
    rows = await with_spending(request.admin, found)
    page = page_of(rows, [each.name for each in rows], LIMIT, ["teams", text])
    template = "teams.html"
    if request.wants_part:
        template = "parts/team_rows.html" if cursor else "parts/team_results.html"
    return await request.page(
        template,
        active="key",
        rows=page.rows,
        next=page.next and links.with_params(request.path, request.admin.params, cursor=page.next),
        filtered=bool(text),
        keys_only=KEYS_ONLY,
    )


async def one(request: PageRequest) -> Response:
    """Show a team, or with `do` the form that changes it."""
    request.admin.only("do")
    do = request.admin.text("do", "", ("edit", "delete", ""))
    view = await _found(request)
    if do and (request.visitor is None or not request.visitor.may(Right.OPERATE)):
        raise PermissionDenied("this needs the right 'operate'")
    if do and (view.read_only or view.version is None):
        raise InvalidRequest("A team of the file, or one without limits, cannot be changed here.")
    form = term_form.of_team(view) if do == "edit" else None
    return await _shown(request, view, do=do, form=form)


async def new(request: PageRequest) -> Response:
    """Show the form of a new team."""
    request.admin.only("name")
    return await _new_form(request, term_form.empty(name=request.admin.text("name", "")))


async def create(request: PageRequest) -> Response:
    """Make a team."""
    form = term_form.written(await request.admin.form())
    try:
        fields = {"name": form.values["name"], **term_form.limits_of(form)}
        wanted = term_form.converted(fields, NewTeam)
        made = await api.change(
            request.admin,
            lambda connection, known, actor: teams.create(connection, wanted, known, actor),
        )
    except (InvalidRequest, Conflict) as exc:
        return await _new_form(request, _wrong(form, exc), exc.status)
    return request.go(links.to_item("teams", made.team.name))


async def change(request: PageRequest) -> Response:
    """Edit or delete a team, as its form says."""
    given = await request.admin.form()
    do = term_form.one(given, "do")
    if do not in ("edit", "delete"):
        raise InvalidRequest("The form says nothing that can be done with a team.", param="do")
    name, form = request.admin.argument, term_form.written(given)
    match = Precondition(term_form.version_of(given), required=True)
    try:
        wanted = term_form.converted(term_form.limits_of(form), TeamEdit)

        def work(connection: Transaction, known: KnownKeys, actor: Actor) -> TeamChange:
            if do == "delete":
                return teams.delete(connection, name, match, known, actor)
            return teams.edit(connection, name, wanted, match, known, actor)

        await api.change(request.admin, work)
    except PreconditionFailed:
        return await _conflict(request, form if do == "edit" else None, given)
    except InvalidRequest as exc:
        view = await _found(request)
        return await _shown(request, view, do="edit", form=_wrong(form, exc), status=exc.status)
    # Without its limits a team is there only as long as keys name it.
    return request.go(links.to("teams") if do == "delete" else links.to_item("teams", name))


async def _found(request: PageRequest) -> TeamState:
    name, known = request.admin.argument, known_keys(request.admin)
    view: TeamState | None = await request.read(
        lambda connection: team_view.find(connection, name, known), here=True
    )
    if view is None:
        raise NotFound(f"there is no team {name!r}")
    (shown,) = await with_spending(request.admin, [view])
    return shown


async def _shown(
    request: PageRequest,
    view: TeamState,
    *,
    do: str = "",
    form: TermForm | None = None,
    status: int = 200,
) -> Response:
    known, wanted = known_keys(request.admin), KeyFilter(team=(view.name,))

    def work(connection: Transaction) -> list[KeyView]:
        return key_view.page(
            connection, known, wanted, after="", limit=_MEMBERS, now=request.admin.now
        )

    members = await with_spending(request.admin, await request.read(work, here=True))
    return await request.page(
        "team.html",
        status=status,
        active="key",
        team=view,
        members=members,
        do=do,
        form=form,
        states=STATES,
        keys_only=KEYS_ONLY,
        windows=term_form.WINDOWS,
        limits=term_form.LIMITS,
    )


async def _new_form(request: PageRequest, form: TermForm, status: int = 200) -> Response:
    return await request.page(
        "team_new.html",
        status=status,
        active="key",
        form=form,
        windows=term_form.WINDOWS,
        limits=term_form.LIMITS,
    )


async def _conflict(
    request: PageRequest, form: TermForm | None, given: dict[str, list[str]]
) -> Response:
    view = await _found(request)
    now = {**term_form.empty(models="").values, **term_form.of_team(view).values}
    return await request.page(
        "changed_meanwhile.html",
        status=412,
        active="key",
        kind="team",
        now_is=view,
        target=links.to_item("teams", view.name),
        edit=links.to_item("teams", view.name) + "?do=edit",
        rows=[] if form is None else differing(form.values, now),
        mine={}
        if form is None
        else {name: values[0] for name, values in given.items() if name != "csrf_token"},
    )


def _wrong(form: TermForm, error: Any) -> TermForm:
    message = error.message[:1].upper() + error.message[1:]
    return TermForm(form.values, field=error.param or "", problem=message)
