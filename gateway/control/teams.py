"""Teams in the database: create, edit, delete.

A team is the name that keys have as their `team`; what is made here is its limits. Each operation
is one transaction of its caller's on `connection`, and returns what the audit log is to say.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from ..config.keys.stored import StoredTeam
from ..config.keys.tables import TeamTerms
from ..config.value_types import Count, TeamName
from ..core.limits.budget import Budget
from ..core.records.audit import AuditAction
from ..errors import Conflict, NotFound
from ..store.control import stored_teams
from ..store.control.generations import KEYS, Transaction, advance
from .changes import Actor, AuditNote, Precondition, differences
from .keys import check_name
from .known_keys import KnownKeys


class NewTeam(TeamTerms, frozen=True, kw_only=True):
    """What a team is created of."""

    name: TeamName


class TeamEdit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a team changes: what is absent stays, null takes a limit away."""

    rpm: Count | UnsetType | None = UNSET
    tpm: Count | UnsetType | None = UNSET
    max_concurrent: Count | UnsetType | None = UNSET
    budget: Budget | UnsetType | None = UNSET


class TeamChange(NamedTuple):
    """A team after a change, or before it was deleted. Without a `note` it is as before."""

    team: StoredTeam
    note: AuditNote | None


def create(connection: Transaction, new: NewTeam, known: KnownKeys, actor: Actor) -> TeamChange:
    """Make a team. Raises InvalidRequest (400), and Conflict (409) if there is one."""
    generation = advance(connection, KEYS)
    check_name(new.name)
    if new.name in known.teams:
        raise Conflict(
            f"There is a team {new.name!r} in {known.file}; it is changed there.", param="name"
        )
    if stored_teams.find(connection, new.name) is not None:
        raise Conflict(f"There is a team {new.name!r} already; change that one.", param="name")
    fields = TeamTerms.__struct_fields__
    terms = TeamTerms(**{name: getattr(new, name) for name in fields})
    team = StoredTeam(
        name=new.name,
        terms=terms,
        version=generation,
        created=actor.now,
        created_by=actor.name,
        changed=actor.now,
        changed_by=actor.name,
    )
    stored_teams.add(connection, team)
    details = {"settings": msgspec.to_builtins(terms), "source": "store"}
    return TeamChange(team, AuditNote(AuditAction.TEAM_CREATED, team.name, details))


def edit(
    connection: Transaction,
    name: str,
    wanted: TeamEdit,
    match: Precondition,
    known: KnownKeys,
    actor: Actor,
) -> TeamChange:
    """Change a team's limits. Raises 400, 404, 409, 412 and 428."""
    generation, old = _opened(connection, name, match, known)
    changes = {
        field: value
        for field in wanted.__struct_fields__
        if (value := getattr(wanted, field)) is not UNSET
    }
    terms = msgspec.structs.replace(old.terms, **changes)
    details = differences(old.terms, terms)
    if not details:
        return TeamChange(old, None)
    new = msgspec.structs.replace(
        old, terms=terms, version=generation, changed=actor.now, changed_by=actor.name
    )
    stored_teams.replace(connection, new)
    return TeamChange(new, AuditNote(AuditAction.TEAM_CHANGED, name, details))


def delete(
    connection: Transaction, name: str, match: Precondition, known: KnownKeys, actor: Actor
) -> TeamChange:
    """Take a team's limits away: its keys keep the name and go on. Raises 404, 409 and 412."""
    _, old = _opened(connection, name, match, known)
    stored_teams.remove(connection, name)
    details = {"settings": msgspec.to_builtins(old.terms)}
    return TeamChange(old, AuditNote(AuditAction.TEAM_DELETED, name, details))


def _opened(
    connection: Transaction, name: str, match: Precondition, known: KnownKeys
) -> tuple[int, StoredTeam]:
    """Return the generation of a change and the team that it is of; other changes wait."""
    generation = advance(connection, KEYS)
    found = stored_teams.find(connection, name)
    if name in known.teams:
        raise Conflict(
            f"The team {name!r} stands in {known.file} and is changed there, followed by a reload.",
            code="read_only",
        )
    if found is None:
        raise NotFound(f"there is no team {name!r} in the database")
    match.check(found.version)
    return generation, found
