"""Keys in the database: create, edit, rotate, disable, enable, revoke.

Each operation is one transaction of its caller's on `connection`, and returns what the audit log
is to say. A secret is made here, shown by the caller once, and kept as its hash only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ..config.callers import key_digest
from ..config.checks.keys import malformed
from ..config.keys.stored import KeyState, StoredKey
from ..config.keys.tables import TokenTerms
from ..config.value_types import Count, Labels, Moment, TeamName
from ..core.limits.budget import Budget
from ..core.records.audit import AuditAction
from ..errors import Conflict, InvalidRequest, NotFound
from ..store.control import stored_keys
from ..store.control.generations import KEYS, Transaction, advance
from .changes import Actor, AuditNote, Precondition, differences
from .known_keys import KnownKeys
from .secret import new_secret

# Seconds. A secret that is replaced since it was lost should not live on for months.
MOST_OVERLAP: Final = 30 * 86_400
DEFAULT_OVERLAP: Final = 3600.0

Models = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...],
                   Meta(max_length=1000)]  # fmt: skip
Overlap = Annotated[float, Meta(ge=0, le=MOST_OVERLAP)]


class NewKey(TokenTerms, frozen=True, kw_only=True):
    """What a key is created of. `key`, plain or as `sha256:HEX`, brings a secret along.

    A name is as long as the records keep it, so that two never become one there.
    """

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    key: Annotated[str, Meta(max_length=512)] | None = None


class KeyEdit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a key changes: what is absent stays, null takes a limit away."""

    models: Models | UnsetType = UNSET
    rpm: Count | UnsetType | None = UNSET
    tpm: Count | UnsetType | None = UNSET
    max_concurrent: Count | UnsetType | None = UNSET
    budget: Budget | UnsetType | None = UNSET
    expires_at: Moment | UnsetType | None = UNSET
    team: TeamName | UnsetType | None = UNSET
    labels: Labels | UnsetType = UNSET
    overrides: Models | UnsetType = UNSET
    passthrough: Models | UnsetType = UNSET


class KeyChange(NamedTuple):
    """A key after a change, and its new secret if it got one. Without a `note` it is as before."""

    key: StoredKey
    note: AuditNote | None
    secret: str | None = None


def create(connection: Transaction, new: NewKey, known: KnownKeys, actor: Actor) -> KeyChange:
    """Make a key. Raises InvalidRequest (400), and Conflict (409) if name or secret are taken."""
    generation = advance(connection, KEYS)
    check_name(new.name)
    fields = TokenTerms.__struct_fields__
    terms = TokenTerms(**{name: getattr(new, name) for name in fields})
    _check_terms(terms, terms, known, actor.now)
    if (token := known.tokens.get(new.name)) is not None:
        raise Conflict(
            f"There is a token {new.name!r} in {known.source(token)}; choose another name.",
            param="name",
        )
    if (other := stored_keys.find(connection, new.name)) is not None:
        hint = " It is revoked, and its name stands in the records." if _is_revoked(other) else ""
        raise Conflict(
            f"There is a key {new.name!r} already; choose another name.{hint}", param="name"
        )
    secret, digest = _secret(new.key)
    if secret is None:
        _check_free(connection, digest, known)
    key = StoredKey(
        name=new.name,
        digest=digest,
        terms=terms,
        created=actor.now,
        created_by=actor.name,
        changed=actor.now,
        changed_by=actor.name,
    )
    stored_keys.add(connection, key, generation)
    details = {"settings": msgspec.to_builtins(terms), "source": "store"}
    return KeyChange(key, AuditNote(AuditAction.TOKEN_CREATED, key.name, details), secret)


def edit(
    connection: Transaction,
    name: str,
    wanted: KeyEdit,
    match: Precondition,
    known: KnownKeys,
    actor: Actor,
) -> KeyChange:
    """Change what a key may do. Raises 400, 404, 409, 412 and 428."""
    generation, old = _opened(connection, name, match, known)
    changes = {
        field: value
        for field in wanted.__struct_fields__
        if (value := getattr(wanted, field)) is not UNSET
    }
    terms = msgspec.structs.replace(old.terms, **changes)
    _check_terms(terms, old.terms, known, actor.now)
    details = differences(old.terms, terms)
    return _changed(connection, generation, old, actor, AuditAction.TOKEN_CHANGED, details,
                    terms=terms)  # fmt: skip


def rotate(
    connection: Transaction,
    name: str,
    overlap: float,
    match: Precondition,
    known: KnownKeys,
    actor: Actor,
) -> KeyChange:
    """Give a key a new secret; the old one is taken for `overlap` seconds more.

    A secret from an earlier rotation that is still taken ends now. Raises 404, 409, 412.
    """
    generation, old = _opened(connection, name, match, known)
    secret, digest = _secret(None)
    change = _changed(
        connection, generation, old, actor, AuditAction.TOKEN_ROTATED, {"overlap_s": overlap},
        digest=digest,
        previous=old.digest if overlap else None,
        previous_until=actor.now + overlap if overlap else None,
    )  # fmt: skip
    return change._replace(secret=secret)


def set_state(
    connection: Transaction,
    name: str,
    state: KeyState,
    match: Precondition,
    known: KnownKeys,
    actor: Actor,
) -> KeyChange:
    """Disable, enable or revoke a key; a key that is so already stays as it is.

    Raises 404, 409 and 412.
    """
    generation, old = _opened(connection, name, match, known, revoked=state is KeyState.REVOKED)
    details = {} if old.state is state else {"old": {"state": old.state.value},
                                             "new": {"state": state.value}}  # fmt: skip
    return _changed(connection, generation, old, actor, _ACTIONS[state], details, state=state)


_ACTIONS: Final = {
    KeyState.ACTIVE: AuditAction.TOKEN_ENABLED,
    KeyState.DISABLED: AuditAction.TOKEN_DISABLED,
    KeyState.REVOKED: AuditAction.TOKEN_REVOKED,
}


def _opened(
    connection: Transaction,
    name: str,
    match: Precondition,
    known: KnownKeys,
    *,
    revoked: bool = False,
) -> tuple[int, StoredKey]:
    """Return the generation of a change and the key that it is of; others wait until it is done."""
    generation = advance(connection, KEYS)
    found = stored_keys.find(connection, name)
    if found is None:
        if (token := known.tokens.get(name)) is not None:
            raise Conflict(
                f"The key {name!r} stands in {known.source(token)} and is changed there, followed"
                " by a reload.",
                code="read_only",
            )
        raise NotFound(f"there is no key {name!r}")
    match.check(found.version)
    if _is_revoked(found) and not revoked:
        raise Conflict(f"The key {name!r} is revoked, which is final.", code="revoked")
    return generation, found


def _changed(
    connection: Transaction,
    generation: int,
    old: StoredKey,
    actor: Actor,
    action: AuditAction,
    details: Mapping[str, object],
    **fields: object,
) -> KeyChange:
    if not details:
        return KeyChange(old, None)
    new = msgspec.structs.replace(
        old, version=old.version + 1, changed=actor.now, changed_by=actor.name, **fields
    )
    stored_keys.replace(connection, new, generation)
    return KeyChange(new, AuditNote(action, new.name, details))


def _secret(given: str | None) -> tuple[str | None, bytes]:
    """Return a new secret and its hash, or only the hash of one that was `given`."""
    if given is None:
        secret = new_secret()
        return secret, hashlib.sha256(secret.encode("ascii")).digest()
    if wrong := malformed(given):
        raise InvalidRequest(f"key {wrong}.", param="key")
    return None, key_digest(given)


def check_name(name: str) -> None:
    """Raise InvalidRequest unless a key or a team can be called that."""
    if not name.isprintable() or name != name.strip() or name.startswith("/") or name[-1] == "/":
        # It stands in paths, in logs and on terminals.
        raise InvalidRequest(
            "name must be of printable characters, without blanks or slashes around it.",
            param="name",
        )


def _check_terms(terms: TokenTerms, old: TokenTerms, known: KnownKeys, now: float) -> None:
    fresh = terms is old
    if (fresh or terms.models != old.models) and (
        unknown := known.unknown_model(terms.models)
    ) is not None:
        raise InvalidRequest(f'There is no model {unknown!r}; use "*" for all.', param="models")
    if (fresh or terms.passthrough != old.passthrough) and (
        unknown := known.unknown_provider(terms.passthrough)
    ) is not None:
        message = f'There is no provider {unknown!r}; use "*" for all.'
        raise InvalidRequest(message, param="passthrough")
    if (fresh or terms.expires_at != old.expires_at) and _is_over(terms.expires_at, now):
        raise InvalidRequest(
            "expires_at must be a time to come; to end a key now, revoke or disable it.",
            param="expires_at",
        )
    texts = [terms.team or "", *terms.labels, *terms.labels.values()]
    if not all(text.isprintable() for text in texts):
        raise InvalidRequest("team and labels must be of printable characters.", param="labels")


def _check_free(connection: Transaction, digest: bytes, known: KnownKeys) -> None:
    """Raise Conflict if anyone has that secret already. It is not said in which way."""
    other = stored_keys.holder(connection, digest)
    whose = known.digests.get(digest) or (None if other is None else f"the key {other!r}")
    if whose is not None:
        raise Conflict(f"That secret belongs to {whose}; each needs its own.", param="key")


def _is_over(expires: datetime | None, now: float) -> bool:
    return expires is not None and expires.timestamp() <= now


def _is_revoked(key: StoredKey) -> bool:
    return key.state is KeyState.REVOKED
