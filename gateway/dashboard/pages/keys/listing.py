"""The list of keys: those of the database and those of the files."""

from __future__ import annotations

from typing import Final, NamedTuple

from starlette.responses import Response

from ....admin.controls.keys import known_keys
from ....admin.controls.spending import with_spending
from ....control import key_order, key_view, team_view
from ....control.key_order import KeyQuery
from ....control.key_view import KeyFilter, KeyView
from ....control.known_keys import KnownKeys
from ....control.paging import NamePage
from ....errors import InvalidRequest
from ....store.control.generations import Transaction
from ....store.queries.last_used import last_used
from ... import links
from ...page_request import PageRequest

LIMIT: Final = 50
_SUGGESTED: Final = 200
STATES: Final = {
    "active": ("ok", "active"),
    "disabled": ("warn", "disabled"),
    "expired": ("off", "expired"),
    "revoked": ("off", "revoked"),
}
SOURCES: Final = (("", "Wherever"), ("store", "Database"), ("file", "Files"))
_PARAMETERS: Final = ("text", "team", "state", "source", "sort", "order", "cursor")


def name_part(request: PageRequest, name: str) -> str:
    """Return a parameter that is a part of names. Raises InvalidRequest."""
    found = request.admin.text(name, "")
    if len(found) > key_view.MOST_TEXT or not found.isprintable():
        raise InvalidRequest(f"{name} must be text of at most {key_view.MOST_TEXT} characters.")
    return found


def team_names(connection: Transaction, known: KnownKeys) -> list[str]:
    """Return what a field for a team suggests."""
    return [each.name for each in team_view.page(connection, known, limit=_SUGGESTED)]


async def keys(request: PageRequest) -> Response:
    """Show a page of keys; of it only the rows if that is what a script asks for."""
    request.admin.only(*_PARAMETERS)
    text, team = name_part(request, "text"), name_part(request, "team")
    state = request.admin.text("state", "", (*STATES, ""))
    source = request.admin.text("source", "any", ("any", "store", "file"))
    sort = request.admin.text("sort", "name", key_order.SORTS)
    order = request.admin.text("order", "asc" if sort == "name" else "desc", ("desc", "asc"))
    cursor = request.admin.text("cursor", "")
    query = KeyQuery(
        wanted=KeyFilter(
            text=text,
            team=(team,) if team else (),
            state=(state,) if state else (),
            source=source,
        ),
        sort=sort,
        descending=order == "desc",
    )
    known = known_keys(request.admin)

    def work(connection: Transaction) -> tuple[NamePage[KeyView], dict[str, int], list[str]]:
        found = key_order.page(
            connection, known, query, cursor=cursor, limit=LIMIT, now=request.admin.now
        )
        used = last_used(connection, [each.name for each in found.rows])
        return found, used, team_names(connection, known)

    page, used, teams = await request.read(work, here=True)
    rows = await with_spending(request.admin, page.rows)
    request.admin.viewed("keys")
    template = "keys.html"
    if request.wants_part:
        template = "parts/key_rows.html" if cursor else "parts/key_results.html"
    return await request.page(
        template,
        active="key",
        rows=rows,
        used=used,
        next=page.next and links.with_params(request.path, request.admin.params, cursor=page.next),
        states=STATES,
        sources=SOURCES,
        sort=sort,
        order=order,
        link=SortAddress(request.address),
        teams=teams,
        filtered=bool(text or team or state or source != "any"),
    )


class SortAddress(NamedTuple):
    """Makes the links of headers: the first click on one but the name sorts down."""

    page: links.PageAddress

    def __call__(self, **changes: object) -> str:
        if "sort" in changes and changes["sort"] == "name":
            given = self.page.params
            now = given.get("sort", ["name"])[0] == "name" and "desc" not in given.get("order", [])
            changes["order"] = "desc" if now else None
        return self.page(**changes)
