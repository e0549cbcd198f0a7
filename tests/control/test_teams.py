"""Teams in the database, on both engines: each operation, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from gateway.config.keys.stored import KeyState
from gateway.config.load import parse
from gateway.control import keys, team_view, teams
from gateway.control.changes import Actor, Precondition, etag
from gateway.control.keys import NewKey
from gateway.control.known_keys import KnownKeys
from gateway.control.spending import on_record
from gateway.control.team_view import TeamState
from gateway.control.teams import NewTeam, TeamChange, TeamEdit
from gateway.core.records.audit import AuditAction
from gateway.errors import Conflict, GatewayError, InvalidRequest, PreconditionFailed
from gateway.store.control.generations import KEYS, current
from gateway.store.engine.database import Database

CONFIG: Final = parse(
    '[providers.p]\nkind = "demo"\n'
    '[[models]]\nname = "m"\nroutes = [{ provider = "p", model = "x" }]\n'
    '[[teams]]\nname = "of-file"\nrpm = 7\n'
    '[[tokens]]\nname = "f"\nkey = "a-key-of-the-file"\nteam = "search"\n',
    "test",
    {},
)
KNOWN: Final = KnownKeys(CONFIG, Path("/etc/gateway/config.toml"))
NOW: Final = 1_790_000_000.0
WHO: Final = Actor("root", NOW)
ANY: Final = Precondition()


def created(database: Database, name: str = "search", **fields: Any) -> TeamChange:
    new = msgspec.convert({"name": name, **fields}, NewTeam)
    return database.write_now(lambda connection: teams.create(connection, new, KNOWN, WHO))


def edited(
    database: Database, name: str = "search", match: Precondition = ANY, **fields: Any
) -> TeamChange:
    wanted = msgspec.convert(fields, TeamEdit)
    later = Actor("eve", NOW + 1)
    return database.write_now(
        lambda connection: teams.edit(connection, name, wanted, match, KNOWN, later)
    )


def deleted(database: Database, name: str = "search", match: Precondition = ANY) -> TeamChange:
    return database.write_now(lambda connection: teams.delete(connection, name, match, KNOWN, WHO))


def shown(database: Database) -> dict[str, TeamState]:
    found = database.read_now(lambda connection: team_view.page(connection, KNOWN, limit=100))
    assert [each.name for each in found] == sorted(each.name for each in found)
    return {each.name: each for each in found}


def test_the_life_of_a_team(database: Database) -> None:
    made = created(database, rpm=5, budget={"usd": 2.0})
    assert made.note is not None
    assert made.note.action is AuditAction.TEAM_CREATED
    changed = edited(database, match=Precondition(etag(made.team.version)), rpm=None, tpm=100)
    assert changed.note is not None
    assert changed.note.details == {
        "old": {"rpm": 5, "tpm": None},
        "new": {"rpm": None, "tpm": 100},
    }
    view = shown(database)["search"]
    assert (view.rpm, view.tpm, view.source, view.read_only) == (None, 100, "store", False)
    assert view.budget is not None
    assert (view.created_by, view.changed_by) == ("root", "eve")
    assert edited(database, tpm=100).note is None
    gone = deleted(database)
    assert gone.note is not None
    assert gone.note.action is AuditAction.TEAM_DELETED
    # What has the old version in hand must not change the team that comes after it.
    again = created(database)
    assert again.team.version > changed.team.version
    with pytest.raises(PreconditionFailed):
        edited(database, match=Precondition(etag(changed.team.version)), rpm=1)
    # Processes follow keys and teams by the same number.
    assert database.read_now(current)[KEYS] >= again.team.version


def test_members_are_counted_wherever_they_stand(database: Database) -> None:
    for name, team in (("a", "search"), ("b", "search"), ("c", "other"), ("d", None)):
        new = NewKey(name=name, team=team)
        database.write_now(partial(keys.create, new=new, known=KNOWN, actor=WHO))
    created(database)
    found = shown(database)
    assert {name: (each.members, each.source) for name, each in found.items()} == {
        "of-file": (0, "/etc/gateway/config.toml"),
        "other": (1, "keys"),
        "search": (3, "store"),
    }
    database.write_now(
        lambda connection: keys.set_state(connection, "c", KeyState.REVOKED, ANY, KNOWN, WHO)
    )
    assert "other" not in shown(database)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("of-file", Conflict), ("search", Conflict), (" x", InvalidRequest), ("a\nb", InvalidRequest)],
)
def test_a_name_that_cannot_be_had(database: Database, name: str, kind: type[GatewayError]) -> None:
    created(database)
    with pytest.raises(kind):
        created(database, name)


def test_what_is_refused_changes_nothing(sqlite_database: Database) -> None:
    created(sqlite_database, rpm=5)
    before = sqlite_database.read_now(current)
    refused: list[Callable[[], object]] = [
        lambda: edited(sqlite_database, "of-file", rpm=1),
        lambda: deleted(sqlite_database, "of-file"),
        lambda: deleted(sqlite_database, "nobody"),
        lambda: edited(sqlite_database, "nobody", rpm=1),
        lambda: edited(sqlite_database, match=Precondition('"v99"'), rpm=1),
        lambda: edited(sqlite_database, match=Precondition(required=True), rpm=1),
    ]
    for act in refused:
        with pytest.raises(GatewayError):
            act()
    assert sqlite_database.read_now(current) == before


def test_what_is_on_record_as_spent(sqlite_database: Database) -> None:
    created(sqlite_database, budget={"usd": 2.0})
    (state,) = sqlite_database.read_now(
        lambda connection: on_record(
            connection, team_view.page(connection, KNOWN, text="SEAR", limit=9), NOW
        )
    )
    assert state is not None
    assert (state.spent_nano_usd, state.left_nano_usd) == (0, 2_000_000_000)
