"""What the commands of `gateway keys` and `gateway teams` share: options, database, output."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from ..config import load
from ..config.paths import config_path
from ..core.limits.budget import Budget
from ..errors import ConfigError, GatewayError
from .audit_entry import append_note, operator
from .commands.check import report
from .moments import WRONG_EXPIRY, time_to_come
from .output import columns
from .output.plain_text import printable_line
from .store import opened

if TYPE_CHECKING:
    from ..control.changes import Actor
    from ..control.key_view import KeyFilter, KeyView
    from ..control.keys import KeyChange
    from ..control.known_keys import KnownKeys
    from ..control.team_view import TeamState
    from ..store.control.generations import Transaction

    Change = Callable[[Transaction, KnownKeys, Actor], KeyChange]
    Look = Callable[[Transaction, KnownKeys, float], list[KeyView]]

T = TypeVar("T")

_PAGE: Final = 1000
_COLUMNS: Final = ("name", "state", "team", "models", "limits", "budget", "expires", "source")


def fields_of(
    models: str | None,
    rpm: int | None,
    tpm: int | None,
    max_concurrent: int | None,
    budget_usd: float | None,
    budget_window: str | None,
    expires: str | None,
    team: str | None,
    labels: Sequence[str],
    overrides: Sequence[str],
    passthrough: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what was given of a key. Raises ValueError with a sentence."""
    found: dict[str, Any] = {
        "rpm": rpm, "tpm": tpm, "max_concurrent": max_concurrent, "team": team
    }  # fmt: skip
    if models is not None:
        found["models"] = [each.strip() for each in models.split(",")]
        if "" in found["models"]:
            raise ValueError("--models has an empty name; leave it out to allow all")
    if budget_usd is not None:
        found["budget"] = {"usd": budget_usd, "window": budget_window or Budget(usd=1).window}
    elif budget_window is not None:
        raise ValueError("--budget-window needs --budget-usd")
    if expires is not None:
        found["expires_at"] = time_to_come(expires, datetime.now(UTC))
        if found["expires_at"] is None:
            raise ValueError(WRONG_EXPIRY)
    if labels:
        pairs = [each.partition("=") for each in labels]
        if not all(name and equals for name, equals, _ in pairs):
            raise ValueError("--label must be NAME=VALUE")
        found["labels"] = {name: value for name, _, value in pairs}
    if overrides:
        found["overrides"] = tuple(overrides)
    if passthrough:
        found["passthrough"] = tuple(passthrough)
    return {name: value for name, value in found.items() if value is not None}


def change(config: Path | None, work: Change, done: str) -> int:
    """Do `work` in a transaction, with its entry in the audit log; print a new secret."""
    # Imported late: SQLAlchemy takes longer than all the rest of a command.
    from ..control.changes import Actor

    def both(connection: Transaction, known: KnownKeys) -> KeyChange:
        made = work(connection, known, Actor(operator(), time.time()))
        append_note(connection, made.note)
        return made

    return with_database(config, both, lambda made: _shown(made, done), write=True)


def look(config: Path | None, work: Look, *, json: bool) -> int:
    """Print the keys that `work` finds."""
    from ..control.spending import on_record

    now = time.time()

    def both(connection: Transaction, known: KnownKeys) -> list[KeyView]:
        found = work(connection, known, now)
        spent = on_record(connection, found, now)
        return [
            msgspec.structs.replace(key, spending=each)
            for key, each in zip(found, spent, strict=True)
        ]

    return with_database(
        config,
        both,
        print_json if json else _print,
        write=False,
    )


def every_key(
    connection: Transaction, known: KnownKeys, now: float, wanted: KeyFilter
) -> Iterator[KeyView]:
    """Yield all keys of files and database that are wanted, by name."""
    from ..control import key_view

    after = ""
    while rows := key_view.page(connection, known, wanted, after=after, limit=_PAGE, now=now):
        yield from rows
        after = rows[-1].name


def usage_error(what: str) -> int:
    sys.stderr.write(f"error: {what}\n")
    return 2


def with_database(
    config: Path | None,
    work: Callable[[Transaction, KnownKeys], T],
    show: Callable[[T], int],
    *,
    write: bool,
) -> int:
    """Do `work` in a transaction and show what it returns; print what went wrong."""
    from ..control.known_keys import KnownKeys

    file = config or config_path()
    try:
        known = KnownKeys(load.outline(file), file)
        with opened(file) as database:
            run = database.write_now if write else database.read_now
            found = run(lambda connection: work(connection, known))
    except ConfigError as exc:
        report(exc)
        return 1
    except (GatewayError, msgspec.ValidationError) as exc:
        sys.stderr.write(f"error: {printable_line(str(exc))}\n")
        return 1
    return show(found)


def _shown(made: KeyChange, done: str) -> int:
    name = printable_line(repr(made.key.name))
    if made.note is None:
        sys.stderr.write(f"{name} is so already\n")
        return 0
    if made.secret is not None:
        try:
            sys.stdout.write(f"{made.secret}\n")
            sys.stdout.flush()
        except OSError as exc:
            sys.stderr.write(
                f"error: the secret could not be shown: {exc.strerror}; rotate {name} to get one\n"
            )
            return 1
    hint = "; its secret is shown this once and not stored" if made.secret else ""
    sys.stderr.write(f"{name} {done}{hint}\n")
    return 0


# How keys are shown...


def _print(found: Sequence[KeyView]) -> int:
    if not found:
        sys.stderr.write("there are no such keys\n")
        return 0
    columns.print_columns([_COLUMNS, *map(_row, found)])
    return 0


def _row(key: KeyView) -> tuple[str, ...]:
    return (
        key.name,
        key.state,
        key.team or "-",
        ", ".join(key.models),
        limits_of(key),
        budget_of(key),
        key.expires_at.isoformat(timespec="seconds") if key.expires_at else "never",
        key.source,
    )


def limits_of(of: KeyView | TeamState) -> str:
    limits = (("rpm", of.rpm), ("tpm", of.tpm), ("concurrent", of.max_concurrent))
    return ", ".join(f"{value} {what}" for what, value in limits if value is not None) or "-"


def budget_of(of: KeyView | TeamState) -> str:
    if of.budget is None:
        return "-"
    spent = 0 if of.spending is None else of.spending.spent_nano_usd
    return f"{spent / 1e9:.12g} of {of.budget.usd:.12g} USD, {of.budget.window}"


def print_json(found: object) -> int:
    columns.print_json(found)
    return 0
