"""How a process follows the keys in the database, with a real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from gateway.config.callers import AllCallers
from gateway.config.keys.stored import KeyState
from gateway.config.load import parse
from gateway.config.schema import Config
from gateway.config.snapshot import Snapshot
from gateway.control import keys, teams
from gateway.control.changes import Actor, Precondition
from gateway.control.keys import KeyEdit, NewKey
from gateway.control.known_keys import KnownKeys
from gateway.control.teams import NewTeam
from gateway.core.limits.ledger import Demand, LimitRefusal
from gateway.errors import AuthenticationFailed, StoreUnavailable
from gateway.process.shared.stored_keys import StoredKeys
from gateway.proxy.access import authenticate
from gateway.state.limits import MemoryLimits
from gateway.store.engine import migrate
from gateway.store.engine.database import Database
from tests.proxy.world import deployment, snapshot_of

from ...store.migrated import migrated_database

OPEN: Final = (
    '[providers.p]\nkind = "demo"\n'
    '[[models]]\nname = "m"\nroutes = [{ provider = "p", model = "x" }]\n'
)
TOKEN: Final = '[[tokens]]\nname = "file"\nkey = "key-of-file"\n'
NOW: Final = 1_790_000_000.0
ANY: Final = Precondition()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = migrated_database(tmp_path)
    yield found
    found.close()


class Process:
    """A process that follows the keys; `snapshot` is what its requests run on."""

    def __init__(self, database: Database, text: str = OPEN + TOKEN) -> None:
        self.keys = StoredKeys(database, self._apply)
        self.snapshot: Snapshot = snapshot_of(deployment("a"))
        self.applied = 0
        self.reload(text)

    def reload(self, text: str) -> None:
        self.config = parse(text, "c.toml", {})
        found = self.keys.callers(self.config)
        plain = msgspec.structs.replace(snapshot_of(deployment("a")), callers=found.callers)
        self.snapshot = self.keys.adopt(self.config, plain, found)

    def _apply(self, config: Config, found: AllCallers) -> None:
        self.applied += 1
        self.snapshot = self.keys.adopt(config, self.snapshot, found)

    def who(self, key: str | None, epoch: float = NOW) -> str:
        """Return who calls with a key, or how that is refused."""
        try:
            return authenticate(self.snapshot, key and key.encode(), epoch).name  # type: ignore[arg-type]
        except (AuthenticationFailed, StoreUnavailable) as exc:
            return exc.code


class Operator:
    """Someone who changes keys, on the same database."""

    def __init__(self, database: Database, text: str = OPEN + TOKEN) -> None:
        self._database = database
        self.known = KnownKeys(parse(text, "c.toml", {}), Path("c.toml"))

    def _do(self, operation: Any, *arguments: Any) -> Any:
        return self._database.write_now(
            lambda connection: operation(connection, *arguments, self.known, Actor("root", NOW))
        )

    def create(self, name: str, **fields: Any) -> str:
        new = msgspec.convert({"name": name, **fields}, NewKey)
        secret: str = self._do(keys.create, new).secret
        return secret

    def edit(self, name: str, **fields: Any) -> None:
        self._do(keys.edit, name, msgspec.convert(fields, KeyEdit), ANY)

    def rotate(self, name: str, overlap: float) -> str:
        secret: str = self._do(keys.rotate, name, overlap, ANY).secret
        return secret

    def team(self, rpm: int | None) -> None:
        """Make the team `search`, or delete it."""
        if rpm is None:
            self._do(teams.delete, "search", ANY)
        else:
            self._do(teams.create, NewTeam(name="search", rpm=rpm))

    def put(self, name: str, state: KeyState) -> None:
        self._do(keys.set_state, name, state, ANY)


async def test_changes_are_followed(database: Database) -> None:
    process, operator = Process(database), Operator(database)
    assert await process.keys.refresh()
    secret = operator.create("k")
    assert process.who(secret) == "invalid_api_key"
    assert await process.keys.refresh()
    assert (process.who(secret), process.who("key-of-file")) == ("k", "file")
    # Nothing has changed, and nothing is made anew.
    before = process.applied
    await process.keys.refresh()
    assert process.applied == before

    new = operator.rotate("k", 60.0)
    await process.keys.refresh()
    assert (process.who(secret), process.who(new)) == ("k", "k")
    assert (process.who(secret, NOW + 60), process.who(new, NOW + 60)) == ("expired_api_key", "k")
    operator.put("k", KeyState.DISABLED)
    await process.keys.refresh()
    assert process.who(new) == process.who(secret) == "disabled_api_key"
    operator.put("k", KeyState.ACTIVE)
    await process.keys.refresh()
    assert process.who(new) == "k"
    operator.put("k", KeyState.REVOKED)
    await process.keys.refresh()
    assert process.who(new) == process.who(secret) == "invalid_api_key"


async def test_what_is_used_survives_an_edit(database: Database) -> None:
    process, operator, limits = Process(database), Operator(database), MemoryLimits()
    secret = operator.create("k", rpm=2, budget={"usd": 1.0})
    await process.keys.refresh()

    async def admitted() -> object:
        caller = process.snapshot.authenticate(secret.encode())
        assert caller is not None
        return await limits.admit(caller.scopes, Demand())

    grant = await admitted()
    assert not isinstance(grant, LimitRefusal)
    await limits.settle(grant, 10, 900_000_000)
    operator.edit("k", rpm=100, budget={"usd": 0.5}, labels={"app": "x"})
    await process.keys.refresh()
    refused = await admitted()
    assert isinstance(refused, LimitRefusal)
    assert "you have used up your budget of 0.5 USD" in refused.message
    operator.edit("k", budget={"usd": 5.0})
    await process.keys.refresh()
    assert not isinstance(await admitted(), LimitRefusal)


async def test_a_reload_keeps_them(database: Database) -> None:
    process, operator = Process(database), Operator(database)
    secret = operator.create("k")
    await process.keys.refresh()
    process.reload(OPEN + TOKEN + "[limits]\nrpm = 7\n")
    assert process.who(secret) == "k"
    caller = process.snapshot.authenticate(secret.encode())
    assert caller is not None
    assert [scope.key for scope in caller.scopes] == ["global"]
    # A file may come to have the same name: then it is the one that counts.
    process.reload(OPEN + '[[tokens]]\nname = "k"\nkey = "key-of-file"\n')
    assert (process.who(secret), process.who("key-of-file")) == ("invalid_api_key", "k")


async def test_a_gateway_with_stored_keys_is_not_open(database: Database) -> None:
    process, operator = Process(database, OPEN), Operator(database, OPEN)
    # Nothing is known yet: the database may hold keys.
    assert process.who(None) == process.who("x") == "store_unavailable"
    await process.keys.refresh()
    assert process.who(None) == "anonymous"
    secret = operator.create("k")
    await process.keys.refresh()
    assert (process.who(None), process.who(secret)) == ("invalid_api_key", "k")
    # The last key that is revoked opens nothing...
    operator.put("k", KeyState.REVOKED)
    await process.keys.refresh()
    assert process.who(None) == process.who(secret) == "invalid_api_key"
    # ...unless that is meant.
    process.reload(OPEN + "[server]\nopen = true\n")
    assert process.who(None) == "anonymous"


async def test_one_that_is_meant_to_be_open_needs_no_database(database: Database) -> None:
    assert Process(database, OPEN + "[server]\nopen = true\n").who(None) == "anonymous"


async def test_without_the_database_what_is_known_goes_on(database: Database) -> None:
    process, operator = Process(database), Operator(database)
    secret = operator.create("k")
    await process.keys.refresh()
    database.barred = "away"
    assert not await process.keys.refresh()
    assert (process.who(secret), process.who("unknown")) == ("k", "invalid_api_key")
    # A process that begins now knows the files only, and cannot tell whose another key is.
    late = Process(database)
    assert not await late.keys.refresh()
    assert (late.who("key-of-file"), late.who(secret)) == ("file", "store_unavailable")
    database.barred = None
    assert await late.keys.refresh()
    assert (late.who(secret), late.who("unknown")) == ("k", "invalid_api_key")


async def test_another_database_is_read_anew(database: Database, tmp_path: Path) -> None:
    process, operator = Process(database), Operator(database)
    old = [operator.create(name) for name in ("a", "b")]
    await process.keys.refresh()
    restored = Database("sqlite:///restored.db", tmp_path)
    migrate.upgrade(restored)
    new = Operator(restored).create("c")
    process.keys._database = restored
    await process.keys.refresh()
    assert [process.who(each) for each in (*old, new)] == ["invalid_api_key"] * 2 + ["c"]
    restored.close()


async def test_teams_are_followed_with_the_keys(database: Database) -> None:
    def rpm_of(name: str) -> list[int | None]:
        caller = next(each for each in process.snapshot.callers.values() if each.name == name)
        return [each.limits.rpm for each in caller.scopes if each.key == "team:search"]

    text = OPEN + TOKEN + 'team = "search"\n'
    process, operator = Process(database, text), Operator(database, text)
    operator.create("k", team="search")
    await process.keys.refresh()
    assert (rpm_of("k"), rpm_of("file")) == ([], [])
    operator.team(rpm=5)
    await process.keys.refresh()
    # Of the database and of the file: both are of the team.
    assert (rpm_of("k"), rpm_of("file")) == ([5], [5])
    before = process.applied
    await process.keys.refresh()
    assert process.applied == before
    # A team of the file counts before that of the database, and is gone with it.
    process.reload(text + '[[teams]]\nname = "search"\nrpm = 9\n')
    assert (rpm_of("k"), rpm_of("file")) == ([9], [9])
    process.reload(text)
    assert (rpm_of("k"), rpm_of("file")) == ([5], [5])
    operator.team(rpm=None)
    await process.keys.refresh()
    assert (rpm_of("k"), rpm_of("file")) == ([], [])
