"""Teams as operators see them, from wherever they come."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ..config.keys.stored import StoredTeam
from ..config.keys.tables import Team
from ..core.limits.budget import Budget
from ..store.control import stored_teams
from ..store.control.generations import Transaction
from .key_view import STORE, BudgetState
from .known_keys import KnownKeys

# The source of a team that is only a name on keys.
KEYS_ONLY = "keys"
_MICRO = 1_000_000


class TeamState(msgspec.Struct, frozen=True, kw_only=True):
    """The limits that hold for all keys of a team together, and what is spent of its budget.

    `source` is "store", the file where the team stands and is changed (`read_only`), or "keys" for
    one without limits, which only keys name. `members` are its keys, the revoked ones left out.
    Times are microseconds.
    """

    name: str
    source: str
    read_only: bool
    members: int
    rpm: int | None = None
    tpm: int | None = None
    max_concurrent: int | None = None
    budget: Budget | None = None
    version: int | None = None
    created: int | None = None
    created_by: str | None = None
    changed: int | None = None
    changed_by: str | None = None
    spending: BudgetState | None = None

    @property
    def table(self) -> Team:
        """Return its limits as a table of the configuration would have them."""
        return Team(
            name=self.name,
            rpm=self.rpm,
            tpm=self.tpm,
            max_concurrent=self.max_concurrent,
            budget=self.budget,
        )


def find(connection: Transaction, name: str, known: KnownKeys) -> TeamState | None:
    """Return the team of that name, limited or only named by keys."""
    return next((each for each in every(connection, known) if each.name == name), None)


def page(
    connection: Transaction, known: KnownKeys, *, text: str = "", after: str = "", limit: int
) -> list[TeamState]:
    """Return up to `limit` teams by name whose names contain `text`, from `after` on."""
    text = text.lower()
    found = [
        each for each in every(connection, known) if each.name > after and text in each.name.lower()
    ]
    return sorted(found, key=lambda each: each.name)[:limit]


def stored_view(team: StoredTeam, members: int) -> TeamState:
    return TeamState(
        name=team.name,
        source=STORE,
        read_only=False,
        members=members,
        **msgspec.structs.asdict(team.terms),
        version=team.version,
        created=round(team.created * _MICRO),
        created_by=team.created_by,
        changed=round(team.changed * _MICRO),
        changed_by=team.changed_by,
    )


def every(connection: Transaction, known: KnownKeys) -> Iterator[TeamState]:
    """Yield all teams, in no order; of two with one name that of the file, which counts."""
    of_store = stored_teams.members(connection)
    of_files = known.members

    def members(name: str) -> int:
        return of_store.get(name, 0) + of_files.get(name, 0)

    seen = set(known.teams)
    for team in known.teams.values():
        fields = msgspec.structs.asdict(team)
        yield TeamState(source=known.file, read_only=True, members=members(team.name), **fields)
    for stored in stored_teams.all_teams(connection):
        if stored.name not in seen:
            seen.add(stored.name)
            yield stored_view(stored, members(stored.name))
    for name in {*of_store, *of_files} - seen:
        yield TeamState(name=name, source=KEYS_ONLY, read_only=False, members=members(name))
