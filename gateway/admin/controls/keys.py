"""Keys over HTTP: those of the database can be changed, those of the files are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from ...config.keys.stored import KeyState
from ...control import key_order, key_view, keys
from ...control.changes import Precondition, etag
from ...control.key_order import KeyQuery
from ...control.key_view import KeyFilter, KeyView
from ...control.keys import KeyChange, KeyEdit, NewKey
from ...control.known_keys import KnownKeys
from ...control.paging import LIMIT, MAX_LIMIT, NamePage
from ...core.admin_path import outside
from ...errors import InvalidRequest, NotFound
from ...store.control.generations import Transaction
from ...store.queries.cursor import check_limit
from ..request import AdminRequest, encoded
from .audit import recorded
from .spending import with_spending

_MAX_VALUES: Final = 100
_SOURCES: Final = ("any", key_view.STORE, "file")


class KeyAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key. `secret` is shown this once: it cannot be shown again."""

    key: KeyView
    secret: str | None = None


class RotateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how many seconds the secret before is taken as well."""

    overlap_s: keys.Overlap = keys.DEFAULT_OVERLAP


async def listed(request: AdminRequest) -> Response:
    """Answer with a page of keys, by name or as `sort` says, as `rows` and `next`."""
    request.only("text", "team", "state", "source", "sort", "order", "cursor", "limit")
    wanted = KeyFilter(
        text=name_text(request, "text"),
        team=_several(request, "team"),
        state=_several(request, "state"),
        source=request.text("source", "any", _SOURCES),
    )
    for state in wanted.state:
        if state not in key_view.STATES:
            states = ", ".join(key_view.STATES)
            raise InvalidRequest(f"state must be of {states}; {state!r} is not.", param="state")
    limit = request.number("limit", LIMIT)
    check_limit(limit, MAX_LIMIT)
    query = KeyQuery(
        wanted=wanted,
        sort=request.text("sort", "name", key_order.SORTS),
        descending=request.text("order", "asc", ("asc", "desc")) == "desc",
    )
    files, cursor = known_keys(request), request.text("cursor", "")

    def work(connection: Transaction) -> NamePage[KeyView]:
        return key_order.page(connection, files, query, cursor=cursor, limit=limit, now=request.now)

    page = await request.database.read(work)
    rows = await with_spending(request, page.rows)
    return encoded(msgspec.structs.replace(page, rows=rows))


async def one(request: AdminRequest) -> Response:
    """Answer with a key, and with its ETag if it can be changed."""
    request.only()
    name, known = request.argument, known_keys(request)
    found = await request.database.read(
        lambda connection: key_view.find(connection, name, known, request.now)
    )
    if found is None:
        raise NotFound(f"there is no key {name!r}")
    return await _answer(request, found)


async def create(request: AdminRequest) -> Response:
    """Make a key and show its secret, this once."""
    request.only()
    new = await request.json(NewKey)
    known = known_keys(request)
    change = await recorded(
        request, lambda connection, actor: keys.create(connection, new, known, actor)
    )
    location = outside(f"/admin/api/keys/{quote(change.key.name, safe='')}")
    return await _changed(request, change, 201, {"location": location})


async def edit(request: AdminRequest) -> Response:
    """Change what a key may do; needs If-Match."""
    request.only()
    wanted = await request.json(KeyEdit)
    name, known = request.argument, known_keys(request)
    match = Precondition(request.if_match, required=True)
    change = await recorded(
        request,
        lambda connection, actor: keys.edit(connection, name, wanted, match, known, actor),
    )
    return await _changed(request, change)


async def rotate(request: AdminRequest) -> Response:
    """Give a key a new secret, and show it this once."""
    request.only()
    wanted = await request.json(RotateRequest) if await request.http.body() else RotateRequest()
    name, known = request.argument, known_keys(request)
    match = Precondition(request.if_match)
    change = await recorded(
        request,
        lambda connection, actor: keys.rotate(
            connection, name, wanted.overlap_s, match, known, actor
        ),
    )
    return await _changed(request, change)


async def disable(request: AdminRequest) -> Response:
    return await _set_state(request, KeyState.DISABLED)


async def enable(request: AdminRequest) -> Response:
    return await _set_state(request, KeyState.ACTIVE)


async def revoke(request: AdminRequest) -> Response:
    return await _set_state(request, KeyState.REVOKED)


async def _set_state(request: AdminRequest, state: KeyState) -> Response:
    request.only()
    name, known = request.argument, known_keys(request)
    match = Precondition(request.if_match)
    change = await recorded(
        request,
        lambda connection, actor: keys.set_state(connection, name, state, match, known, actor),
    )
    return await _changed(request, change)


def known_keys(request: AdminRequest) -> KnownKeys:
    """Return what the configuration knows of keys and teams."""
    control = request.resources.control
    return KnownKeys(control.config, Path(control.reload_status.path))


async def _changed(
    request: AdminRequest,
    change: KeyChange,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    view = key_view.stored_view(change.key, request.now)
    return await _answer(request, view, change.secret, status, headers)


async def _answer(
    request: AdminRequest,
    view: KeyView,
    secret: str | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    tag = {} if view.version is None else {"etag": etag(view.version)}
    (shown,) = await with_spending(request, [view])
    return encoded(KeyAnswer(shown, secret), status, {**(headers or {}), **tag})


def name_text(request: AdminRequest, name: str) -> str:
    """Return a parameter that is a part of names. Raises InvalidRequest."""
    found = request.text(name, "")
    if "\0" in found or len(found) > key_view.MOST_TEXT:
        raise InvalidRequest(f"{name} must be text of at most 200 characters.", param=name)
    return found


def _several(request: AdminRequest, name: str) -> tuple[str, ...]:
    found = request.several(name, ())
    if len(found) > _MAX_VALUES or any("\0" in each for each in found):
        raise InvalidRequest(f"{name} can have {_MAX_VALUES} values at most.", param=name)
    return found
