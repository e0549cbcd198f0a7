"""Keys in the database, on both engines: each operation, and what it refuses."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from gateway.config.keys.stored import KeyState
from gateway.config.load import parse
from gateway.control import keys
from gateway.control.changes import Actor, Precondition
from gateway.control.keys import KeyChange, KeyEdit, NewKey
from gateway.control.known_keys import KnownKeys
from gateway.core.limits.budget import Budget
from gateway.core.records.audit import AuditAction
from gateway.errors import (
    Conflict,
    GatewayError,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
)
from gateway.store.control import stored_keys
from gateway.store.control.generations import KEYS, current
from gateway.store.engine.database import Database

CONFIG: Final = parse(
    '[providers.p]\nkind = "demo"\n'
    '[[models]]\nname = "m"\nroutes = [{ provider = "p", model = "x" }]\n'
    '[[models]]\nname = "org/*"\nroutes = [{ provider = "p", model = "*" }]\n'
    '[[tokens]]\nname = "from-file"\nkey = "a-key-of-the-file"\n'
    '[[admins]]\nname = "root"\nkey = "a-key-of-root"\n',
    "test",
    {},
)
KNOWN: Final = KnownKeys(CONFIG, Path("/etc/gateway/config.toml"))
NOW: Final = 1_790_000_000.0
WHO: Final = Actor("root", NOW)
ANY: Final = Precondition()


def created(database: Database, **fields: Any) -> KeyChange:
    new = msgspec.convert({"name": "k", **fields}, NewKey)
    return database.write_now(lambda connection: keys.create(connection, new, KNOWN, WHO))


def edited(database: Database, match: Precondition = ANY, **fields: Any) -> KeyChange:
    wanted = msgspec.convert(fields, KeyEdit)
    return database.write_now(
        lambda connection: keys.edit(connection, "k", wanted, match, KNOWN, Actor("eve", NOW + 1))
    )


def generation(database: Database) -> int:
    return database.read_now(current).get(KEYS, 0)


def test_a_new_key_is_shown_once_and_kept_as_its_hash(database: Database) -> None:
    change = created(database, rpm=5, team="search", labels={"app": "chat"}, models=["m", "org/x"])
    assert change.secret is not None
    assert change.secret.startswith("sk-gw-")
    key = database.read_now(lambda connection: stored_keys.find(connection, "k"))
    assert key == change.key
    assert key is not None
    assert key.digest == hashlib.sha256(change.secret.encode()).digest()
    assert (key.version, key.created, key.created_by, key.state) == (1, NOW, "root", "active")
    assert change.note is not None
    assert change.note.action is AuditAction.TOKEN_CREATED
    assert change.note.details["settings"]["team"] == "search"
    assert change.secret not in str(change.note) + repr(key)
    assert generation(database) == 1


def test_a_secret_may_be_brought_along(database: Database) -> None:
    digest = hashlib.sha256(b"my-own-secret").hexdigest()
    for name, key in (("plain", "my-other-secret"), ("hashed", f"sha256:{digest}")):
        assert created(database, name=name, key=key).secret is None
    found = database.read_now(
        lambda connection: stored_keys.holder(connection, bytes.fromhex(digest))
    )
    assert found == "hashed"


@pytest.mark.parametrize(
    ("fields", "kind", "param", "words"),
    [
        ({"name": "from-file"}, Conflict, "name", "/etc/gateway/config.toml"),
        ({"key": "a-key-of-the-file"}, Conflict, "key", "the token 'from-file'"),
        ({"key": "a-key-of-root"}, Conflict, "key", "the admin 'root'"),
        ({"key": "sha256:12"}, InvalidRequest, "key", "64 hexadecimal"),
        ({"key": "short"}, InvalidRequest, "key", "8 characters"),
        ({"key": "ключ-длинный"}, InvalidRequest, "key", "8 characters"),
        ({"name": "a\nb"}, InvalidRequest, "name", "printable"),
        ({"name": "a/"}, InvalidRequest, "name", "slashes"),
        ({"name": " a"}, InvalidRequest, "name", "blanks"),
        ({"models": ["nothing"]}, InvalidRequest, "models", "'nothing'"),
        ({"team": "a\x00b"}, InvalidRequest, "labels", "printable"),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, InvalidRequest, "expires_at", "to come"),
    ],
)
def test_what_cannot_be_made(
    database: Database, fields: dict[str, Any], kind: type[GatewayError], param: str, words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        created(database, **fields)
    assert caught.value.param == param
    # Nothing is left of the attempt.
    assert generation(database) == 0


def test_names_and_secrets_are_given_once(database: Database) -> None:
    secret = "a-secret-of-mine"
    created(database, key=secret)
    with pytest.raises(Conflict, match="already"):
        created(database)
    with pytest.raises(Conflict, match="the key 'k'"):
        created(database, name="other", key=secret)
    in_state(database, KeyState.REVOKED)
    with pytest.raises(Conflict, match="revoked"):
        created(database)


def in_state(database: Database, state: KeyState, name: str = "k") -> KeyChange:
    return database.write_now(
        lambda connection: keys.set_state(connection, name, state, ANY, KNOWN, WHO)
    )


def test_an_edit_says_what_was_and_what_is(database: Database) -> None:
    created(database, rpm=5, budget={"usd": 1.0})
    change = edited(database, rpm=None, tpm=7, budget={"usd": 2.0, "window": "day"})
    assert change.key.terms.rpm is None
    assert change.key.terms.budget == Budget(usd=2.0, window="day")
    assert (change.key.version, change.key.changed_by) == (2, "eve")
    assert change.note is not None
    assert change.note.details == {
        "old": {"rpm": 5, "tpm": None, "budget": {"usd": 1.0, "window": "month"}},
        "new": {"rpm": None, "tpm": 7, "budget": {"usd": 2.0, "window": "day"}},
    }
    # What changes nothing is no change.
    again = edited(database, tpm=7)
    assert (again.key.version, again.note) == (2, None)


def test_an_edit_says_what_it_was_made_of(database: Database) -> None:
    created(database)
    with pytest.raises(PreconditionRequired):
        edited(database, Precondition(required=True), rpm=1)
    with pytest.raises(InvalidRequest, match='"v3"'):
        edited(database, Precondition("v1"), rpm=1)
    for fine in ('"v1"', '"v7", "v2"', "*"):
        edited(database, Precondition(fine, required=True), rpm=len(fine))
    with pytest.raises(PreconditionFailed, match='"v4"'):
        edited(database, Precondition('W/"v4", "v1"', required=True), rpm=1)


def test_of_two_who_edit_at_once_one_is_told(database: Database) -> None:
    created(database)
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def change(rpm: int) -> None:
        barrier.wait()
        try:
            edited(database, Precondition('"v1"'), rpm=rpm)
            outcomes.append("done")
        except PreconditionFailed:
            outcomes.append("told")

    threads = [threading.Thread(target=change, args=(rpm,)) for rpm in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done", "told"]


def test_an_old_model_that_is_gone_does_not_stand_in_the_way(database: Database) -> None:
    created(database, models=["m"])
    gone = KnownKeys(msgspec.structs.replace(CONFIG, models=CONFIG.models[1:]), Path("c.toml"))
    wanted = KeyEdit(rpm=3)
    change = database.write_now(
        lambda connection: keys.edit(connection, "k", wanted, ANY, gone, WHO)
    )
    assert change.key.terms.rpm == 3


@pytest.mark.parametrize("overlap", [0.0, 60.0])
def test_a_rotation_keeps_the_old_secret_for_a_while(database: Database, overlap: float) -> None:
    old = created(database).key
    change = database.write_now(
        lambda connection: keys.rotate(connection, "k", overlap, ANY, KNOWN, WHO)
    )
    assert change.secret is not None
    assert change.key.digest == hashlib.sha256(change.secret.encode()).digest() != old.digest
    kept = (old.digest, NOW + overlap) if overlap else (None, None)
    assert (change.key.previous, change.key.previous_until) == kept
    assert change.note is not None
    assert change.note.details == {"overlap_s": overlap}


def test_states(database: Database) -> None:
    created(database)
    assert in_state(database, KeyState.DISABLED).key.state is KeyState.DISABLED
    assert in_state(database, KeyState.DISABLED).note is None
    enabled = in_state(database, KeyState.ACTIVE)
    assert enabled.note is not None
    assert enabled.note.action is AuditAction.TOKEN_ENABLED
    assert in_state(database, KeyState.REVOKED).key.state is KeyState.REVOKED
    # Revoked is final, and to revoke it again is nothing.
    assert in_state(database, KeyState.REVOKED).note is None
    operations: list[Callable[[], object]] = [
        lambda: in_state(database, KeyState.ACTIVE),
        lambda: in_state(database, KeyState.DISABLED),
        lambda: edited(database, rpm=1),
    ]
    for operation in operations:
        with pytest.raises(Conflict, match="final"):
            operation()


def test_what_is_not_there_or_not_ours(database: Database) -> None:
    with pytest.raises(NotFound):
        in_state(database, KeyState.REVOKED, "nobody")
    with pytest.raises(Conflict, match=r"stands in /etc/gateway/config\.toml") as caught:
        in_state(database, KeyState.REVOKED, "from-file")
    assert caught.value.code == "read_only"


def test_the_keys_that_have_changed_since(database: Database) -> None:
    def since(number: int) -> set[str]:
        found = database.read_now(lambda connection: stored_keys.changed_since(connection, number))
        return {key.name for key in found}

    for name in ("a", "b", "c"):
        created(database, name=name)
    in_state(database, KeyState.DISABLED, "a")
    assert (since(0), since(2), since(4)) == ({"a", "b", "c"}, {"a", "c"}, set())
