"""`gateway teams`: the teams in the database, which running gateways take up within two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from cyclopts import App, Parameter

from ...audit_entry import append_note, operator
from ...key_work import (
    budget_of,
    fields_of,
    limits_of,
    print_json,
    usage_error,
    with_database,
)
from ...options import BudgetUsd, BudgetWindow, ConfigFile, Flag, MaxConcurrent, Rpm, Tpm
from ...output.columns import print_columns
from ...output.plain_text import printable_line

if TYPE_CHECKING:
    from ....control.changes import Actor
    from ....control.known_keys import KnownKeys
    from ....control.team_view import TeamState
    from ....control.teams import TeamChange
    from ....store.control.generations import Transaction

_COLUMNS: Final = ("name", "members", "limits", "budget", "source")

Clearable = Literal["rpm", "tpm", "max_concurrent", "budget"]

app = App(name="teams", help="Make and change teams in the database, while the gateway runs.")


@app.command
def create(
    name: str,
    /,
    *,
    rpm: Rpm = None,
    tpm: Tpm = None,
    max_concurrent: MaxConcurrent = None,
    budget_usd: BudgetUsd = None,
    budget_window: BudgetWindow = None,
    config: ConfigFile = None,
) -> int:
    """Give all keys of a team limits that hold for them together.

    Parameters
    ----------
    name
        The team, as its keys have it.
    """
    from ....control import teams

    def work(connection: Transaction, known: KnownKeys, actor: Actor) -> TeamChange:
        wanted = msgspec.convert({"name": name, **fields}, teams.NewTeam)
        return teams.create(connection, wanted, known, actor)

    try:
        fields = _fields(rpm, tpm, max_concurrent, budget_usd, budget_window)
    except ValueError as exc:
        return usage_error(str(exc))
    return _change(config, work, "is made")


@app.command
def edit(
    name: str,
    /,
    *,
    rpm: Rpm = None,
    tpm: Tpm = None,
    max_concurrent: MaxConcurrent = None,
    budget_usd: BudgetUsd = None,
    budget_window: BudgetWindow = None,
    clear: Annotated[tuple[Clearable, ...], Parameter(negative="", show_default=False)] = (),
    config: ConfigFile = None,
) -> int:
    """Change a team's limits; what is not given stays.

    Parameters
    ----------
    name
        The team's name.
    clear
        A limit to take away; may be repeated.
    """
    from ....control import changes, teams

    def work(connection: Transaction, known: KnownKeys, actor: Actor) -> TeamChange:
        wanted = msgspec.convert(fields, teams.TeamEdit)
        return teams.edit(connection, name, wanted, changes.Precondition(), known, actor)

    try:
        fields = _fields(rpm, tpm, max_concurrent, budget_usd, budget_window)
        if both := [each for each in clear if each in fields]:
            raise ValueError(f"--clear {both[0]} contradicts what is given for it")
    except ValueError as exc:
        return usage_error(str(exc))
    fields |= dict.fromkeys(clear)
    if not fields:
        return usage_error("nothing to change is given")
    return _change(config, work, "is changed")


@app.command
def delete(name: str, /, *, config: ConfigFile = None) -> int:
    """Take a team's limits away. Its keys keep its name and go on.

    Parameters
    ----------
    name
        The team's name.
    """
    from ....control import changes, teams

    return _change(
        config,
        lambda connection, known, actor: teams.delete(
            connection, name, changes.Precondition(), known, actor
        ),
        "is deleted",
    )


@app.command(name="list")
def list_(*, text: str = "", json: Flag = False, config: ConfigFile = None) -> int:
    """List the teams of the database and of the file, and those that only keys name.

    Parameters
    ----------
    text
        Only those with this in their name.
    json
        Print an array of objects instead of columns.
    """
    from ....control import spending, team_view

    now = time.time()

    def work(connection: Transaction, known: KnownKeys) -> list[TeamState]:
        found = team_view.page(connection, known, text=text, limit=sys.maxsize)
        spent = spending.on_record(connection, found, now)
        return [
            msgspec.structs.replace(team, spending=each)
            for team, each in zip(found, spent, strict=True)
        ]

    return with_database(config, work, print_json if json else _print, write=False)


def _fields(
    rpm: int | None,
    tpm: int | None,
    max_concurrent: int | None,
    budget_usd: float | None,
    budget_window: str | None,
) -> dict[str, Any]:
    return fields_of(None, rpm, tpm, max_concurrent, budget_usd, budget_window, None, None, (), ())


def _change(
    config: Path | None,
    work: Callable[[Transaction, KnownKeys, Actor], TeamChange],
    done: str,
) -> int:
    """Do `work` in a transaction, with its entry in the audit log."""
    # Imported late: SQLAlchemy takes longer than all the rest of a command.
    from ....control.changes import Actor

    def both(connection: Transaction, known: KnownKeys) -> TeamChange:
        made = work(connection, known, Actor(operator(), time.time()))
        append_note(connection, made.note)
        return made

    def show(made: TeamChange) -> int:
        name = printable_line(repr(made.team.name))
        said = done if made.note is not None else "is so already"
        sys.stderr.write(f"{name} {said}\n")
        return 0

    return with_database(config, both, show, write=True)


def _print(found: list[TeamState]) -> int:
    if not found:
        sys.stderr.write("there are no such teams\n")
        return 0
    rows = [
        (each.name, str(each.members), limits_of(each), budget_of(each), each.source)
        for each in found
    ]
    print_columns([_COLUMNS, *rows])
    return 0
