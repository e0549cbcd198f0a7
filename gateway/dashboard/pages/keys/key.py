"""One key, and the forms in which it is made, changed, rotated and revoked."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import Any, Final

from starlette.responses import Response

from ....admin.controls.keys import known_keys
from ....admin.controls.spending import with_spending
from ....admin.rights import Right
from ....control import key_view
from ....control.key_view import KeyView
from ....errors import InvalidRequest, NotFound, PermissionDenied
from ....store.control.generations import Transaction
from ....store.queries.last_used import last_used
from ...page_request import PageRequest
from ...views import term_form
from ...views.key_use import a_model, key_use
from ...views.term_form import TermForm
from .listing import STATES, team_names

# Models that are named as examples.
_NAMED: Final = 6
_FORMS: Final = ("edit", "rotate", "revoke")


async def one(request: PageRequest) -> Response:
    """Show a key, or with `do` the form that changes it."""
    request.admin.only("do")
    do = request.admin.text("do", "", (*_FORMS, ""))
    view = await found(request, request.admin.argument)
    if do and (request.visitor is None or not request.visitor.may(Right.OPERATE)):
        raise PermissionDenied("this needs the right 'operate'")
    if do and (view.read_only or view.state == "revoked"):
        raise InvalidRequest("A key of a file, or one that is revoked, cannot be changed here.")
    form = term_form.of_key(view) if do == "edit" else None
    return await shown(request, view, do=do, form=form)


async def new(request: PageRequest) -> Response:
    """Show the form of a new key."""
    request.admin.only("team")
    return await new_form(request, term_form.empty(team=request.admin.text("team", "")))


async def found(request: PageRequest, name: str) -> KeyView:
    """Return a key by its name. Raises NotFound."""
    known = known_keys(request.admin)

    def work(connection: Transaction) -> KeyView | None:
        return key_view.find(connection, name, known, request.admin.now)

    view: KeyView | None = await request.read(work, here=True)
    if view is None:
        raise NotFound(f"there is no key {name!r}")
    (shown_,) = await with_spending(request.admin, [view])
    return shown_


async def shown(
    request: PageRequest,
    view: KeyView,
    *,
    do: str = "",
    form: TermForm | None = None,
    status: int = 200,
    secret: str | None = None,
    done: str = "",
) -> Response:
    """Return the page of a key; with a `secret`, which is shown this once."""
    used = await request.read(partial(last_used, names=[view.name]))
    model = a_model(view.models, request.resources.snapshot())
    answer = key_use(request.base, model) if secret is None else key_use(
        request.base, model, secret
    )  # fmt: skip
    return await request.page(
        "key.html",
        status=status,
        active="key",
        key=view,
        used=used.get(view.name),
        do=do,
        form=form,
        secret=secret,
        done=done,
        use=answer,
        states=STATES,
        path=request.path,
        **await _choices(request),
    )


async def new_form(request: PageRequest, form: TermForm, status: int = 200) -> Response:
    return await request.page(
        "key_new.html", status=status, active="key", form=form, **await _choices(request)
    )


async def _choices(request: PageRequest) -> dict[str, Any]:
    """Return what the fields of a form suggest."""
    known = known_keys(request.admin)
    models = islice((each.name for each in request.resources.snapshot().models), _NAMED)
    return {
        "teams": await request.read(partial(team_names, known=known), here=True),
        "models": [*models],
        "windows": term_form.WINDOWS,
        "limits": term_form.LIMITS,
        "overlaps": term_form.OVERLAPS,
    }
