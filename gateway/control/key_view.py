"""A key as operators see it, from wherever it comes; nothing of its secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Final

import msgspec

from ..config.keys.stored import KeyState, StoredKey
from ..config.keys.tables import Token, TokenTerms
from ..core.limits.budget import Budget
from ..store.control import stored_keys
from ..store.control.generations import Transaction
from .known_keys import KnownKeys

STORE: Final = "store"
EXPIRED: Final = "expired"
# In characters: of a part of a name.
MOST_TEXT: Final = 200
STATES: Final = (*KeyState, EXPIRED)
_MICRO: Final = 1_000_000


class BudgetState(msgspec.Struct, frozen=True):
    """Billionths of a dollar in the budget's present window, which ends in `resets_in_s` seconds.

    `reserved_nano_usd` is what requests under way may cost. A window that never ends has None.
    """

    limit_nano_usd: int
    spent_nano_usd: int
    reserved_nano_usd: int
    left_nano_usd: int
    resets_in_s: float | None


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """`source` is "store", or the file where the key stands and is changed (`read_only`).

    Times are microseconds, but for `expires_at`, which is as it was given. Until
    `previous_until` the secret before the last rotation is taken as well. Of two keys with
    one name that of the file is shown, which is the one that counts.
    """

    name: str
    source: str
    read_only: bool
    state: str
    models: tuple[str, ...]
    rpm: int | None
    tpm: int | None
    max_concurrent: int | None
    budget: Budget | None
    expires_at: datetime | None
    team: str | None
    labels: dict[str, str]
    overrides: tuple[str, ...] = ()
    passthrough: tuple[str, ...] = ()
    version: int | None = None
    created: int | None = None
    created_by: str | None = None
    changed: int | None = None
    changed_by: str | None = None
    previous_until: int | None = None
    spending: BudgetState | None = None


class KeyFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys: part of a name, in any case; teams; states; "store", "file" or "any"."""

    text: str = ""
    team: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    source: str = "any"


def stored_view(key: StoredKey, now: float) -> KeyView:
    """Return a key of the database as it is at `now`, in Unix seconds."""
    until = key.previous_until
    return _view(
        key.name,
        STORE,
        key.terms,
        key.state.value,
        now,
        version=key.version,
        created=round(key.created * _MICRO),
        created_by=key.created_by,
        changed=round(key.changed * _MICRO),
        changed_by=key.changed_by,
        previous_until=None if until is None or until <= now else round(until * _MICRO),
    )


def file_view(token: Token, source: str, now: float) -> KeyView:
    """Return a key of a file."""
    return _view(token.name, source, token, KeyState.ACTIVE.value, now)


def find(connection: Transaction, name: str, known: KnownKeys, now: float) -> KeyView | None:
    """Return the key of that name; one of a file before one of the database."""
    if (token := known.tokens.get(name)) is not None:
        return file_view(token, known.source(token), now)
    found = stored_keys.find(connection, name)
    return None if found is None else stored_view(found, now)


def page(
    connection: Transaction,
    known: KnownKeys,
    wanted: KeyFilter,
    *,
    after: str,
    limit: int,
    now: float,
) -> list[KeyView]:
    """Return up to `limit` keys of files and database, by name, from the one after `after` on."""
    from_files = _of_files(known, wanted, after, now) if wanted.source != STORE else iter(())
    stored = _of_store(connection, known.tokens, wanted, after, now)
    from_store = stored if wanted.source != "file" else iter(())
    return [*islice(merge(from_files, from_store, key=lambda each: each.name), limit)]


def _of_files(known: KnownKeys, wanted: KeyFilter, after: str, now: float) -> Iterator[KeyView]:
    text = wanted.text.lower()
    for name in sorted(name for name in known.tokens if name > after and text in name.lower()):
        token = known.tokens[name]
        view = file_view(token, known.source(token), now)
        if _is_wanted(view, wanted):
            yield view


def _of_store(
    connection: Transaction,
    hidden: Mapping[str, Token],
    wanted: KeyFilter,
    after: str,
    now: float,
) -> Iterator[KeyView]:
    """Yield the keys of the database, as many at a time as are asked for at first."""
    # Whether a key has expired is not a column; an expired one is active there.
    states = tuple({KeyState.ACTIVE.value if each == EXPIRED else each for each in wanted.state})
    while rows := stored_keys.page(
        connection, after=after, text=wanted.text, team=wanted.team, states=states
    ):
        for row in rows:
            view = stored_view(row, now)
            if row.name not in hidden and _is_wanted(view, wanted):
                yield view
        after = rows[-1].name


def _is_wanted(view: KeyView, wanted: KeyFilter) -> bool:
    return (not wanted.team or view.team in wanted.team) and (
        not wanted.state or view.state in wanted.state
    )


def _view(
    name: str, source: str, terms: TokenTerms, state: str, now: float, **more: object
) -> KeyView:
    expires = terms.expires_at
    over = expires is not None and expires.timestamp() <= now
    given = {field: getattr(terms, field) for field in TokenTerms.__struct_fields__}
    return KeyView(
        name=name,
        source=source,
        read_only=source != STORE,
        state=EXPIRED if over and state == KeyState.ACTIVE.value else state,
        **given,
        **more,  # type: ignore[arg-type]
    )
