"""What the forms of keys do: the same operations as the admin API's, in one transaction each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.responses import Response

from ....admin.controls.audit import recorded
from ....admin.controls.keys import known_keys
from ....admin.controls.spending import with_spending
from ....config.keys.stored import KeyState
from ....control import keys
from ....control.changes import Actor, Precondition
from ....control.key_view import KeyView, stored_view
from ....control.keys import KeyChange, KeyEdit, NewKey
from ....control.known_keys import KnownKeys
from ....errors import Conflict, InvalidRequest, PreconditionFailed
from ....store.control.generations import Transaction
from ... import links
from ...page_request import PageRequest
from ...views import term_form
from ...views.term_form import Form, TermForm
from . import key

_STATES: Final = {
    "disable": KeyState.DISABLED,
    "enable": KeyState.ACTIVE,
    "revoke": KeyState.REVOKED,
}
_ACTIONS: Final = ("edit", "rotate", *_STATES)
_SECONDS: Final = {str(seconds): float(seconds) for seconds, _ in term_form.OVERLAPS}


async def create(request: PageRequest) -> Response:
    """Make a key, and show its secret, this once."""
    given = await request.admin.form()
    form = term_form.written(given)
    known = known_keys(request.admin)
    try:
        fields = {"name": form.values["name"], **term_form.terms_of(form, request.admin.now)}
        new = term_form.converted(fields, NewKey)
        made = await recorded(
            request.admin, lambda connection, actor: keys.create(connection, new, known, actor)
        )
    except (InvalidRequest, Conflict) as exc:
        return await key.new_form(request, _wrong(form, exc), exc.status)
    return await _shown(request, made, "made")


async def change(request: PageRequest) -> Response:
    """Do what the form of one key says."""
    given = await request.admin.form()
    do = term_form.one(given, "do")
    if do not in _ACTIONS:
        raise InvalidRequest("The form says nothing that can be done with a key.", param="do")
    view = await key.found(request, request.admin.argument)
    match = Precondition(term_form.version_of(given), required=True)
    form = term_form.written(given) if do == "edit" else None
    try:
        made = await recorded(request.admin, _work(request, view, do, given, match))
    except PreconditionFailed:
        return await _conflict(request, form, given)
    except InvalidRequest as exc:
        if form is None:
            raise
        return await key.shown(request, view, do="edit", form=_wrong(form, exc), status=exc.status)
    if made.secret is not None:
        return await _shown(request, made, "rotated")
    return request.go(links.to_item("keys", view.name))


def _work(
    request: PageRequest, view: KeyView, do: str, given: Form, match: Precondition
) -> Callable[[Transaction, Actor], KeyChange]:
    """Return what is to be done. Raises InvalidRequest."""
    known, name = known_keys(request.admin), view.name
    if do == "edit":
        return _edit(request, view, given, match, known)
    if do == "rotate":
        overlap = _SECONDS.get(term_form.one(given, "overlap"))
        if overlap is None:
            raise InvalidRequest("Choose for how long the old secret is taken.", param="overlap")
        return lambda connection, actor: keys.rotate(connection, name, overlap, match, known, actor)
    state = _STATES[do]
    return lambda connection, actor: keys.set_state(connection, name, state, match, known, actor)


def _edit(
    request: PageRequest, view: KeyView, given: Form, match: Precondition, known: KnownKeys
) -> Callable[[Transaction, Actor], KeyChange]:
    wanted = term_form.converted(
        term_form.terms_of(term_form.written(given), request.admin.now), KeyEdit
    )
    if wanted.expires_at == view.expires_at:
        # The same moment, perhaps of another zone: that is no change.
        wanted = msgspec.structs.replace(wanted, expires_at=view.expires_at)
    return lambda connection, actor: keys.edit(connection, view.name, wanted, match, known, actor)


async def _shown(request: PageRequest, made: KeyChange, done: str) -> Response:
    made_of = stored_view(made.key, request.admin.now)
    (view,) = await with_spending(request.admin, [made_of])
    return await key.shown(request, view, secret=made.secret, done=done)


async def _conflict(request: PageRequest, form: TermForm | None, given: Form) -> Response:
    """Return the page that says what another person has changed meanwhile."""
    view = await key.found(request, request.admin.argument)
    return await request.page(
        "changed_meanwhile.html",
        status=412,
        active="key",
        kind="key",
        now_is=view,
        target=links.to_item("keys", view.name),
        edit=links.to_item("keys", view.name) + "?do=edit",
        rows=[] if form is None else differing(form.values, term_form.of_key(view).values),
        mine={} if form is None else _sent(given),
    )


def differing(mine: Mapping[str, str], now: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the fields that a person has written otherwise than they are now, by their labels."""
    found = []
    for name, label in term_form.LABELS.items():
        own, other = _cell(mine, name), _cell(now, name)
        if name != "name" and own != other:
            found.append({"label": label, "mine": own, "now": other})
    return found


def _cell(values: Mapping[str, str], name: str) -> str:
    if name != "budget":
        return values.get(name, "")
    usd = values.get("budget_usd", "")
    return f"${usd} ({values.get('budget_window', '')})" if usd else ""


def _sent(given: Form) -> dict[str, str]:
    return {name: values[0] for name, values in given.items() if name != "csrf_token"}


def _wrong(form: TermForm, error: Any) -> TermForm:
    message = error.message[:1].upper() + error.message[1:]
    return TermForm(form.values, field=error.param or "", problem=message)
