"""`gateway keys create` and `edit`: the options that say what a key may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from cyclopts import Parameter

from ...key_work import change, fields_of, usage_error
from ...options import (
    BudgetUsd,
    BudgetWindow,
    ConfigFile,
    Expiry,
    KeyLimit,
    MaxConcurrent,
    Rpm,
    Several,
    Tpm,
)

if TYPE_CHECKING:
    from ....control.changes import Actor
    from ....control.keys import KeyChange
    from ....control.known_keys import KnownKeys
    from ....store.control.generations import Transaction

# What stands in place of what is cleared and cannot be null.
EMPTY: Final[dict[str, object]] = {"labels": {}, "overrides": (), "passthrough": ()}


def create(
    name: str,
    /,
    *,
    models: str | None = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    max_concurrent: MaxConcurrent = None,
    budget_usd: BudgetUsd = None,
    budget_window: BudgetWindow = None,
    expires: Expiry = None,
    team: str | None = None,
    label: Several = (),
    override: Several = (),
    passthrough: Several = (),
    config: ConfigFile = None,
) -> int:
    """Make a key and print it, this once: only its hash is stored.

    Parameters
    ----------
    name
        Whom the key is for, as it will stand in the request log.
    models
        The models it may use, separated by commas. Default: all.
    team
        The team whose limits hold, too.
    label
        A label for the records, as NAME=VALUE; may be repeated.
    override
        A member of a body by which it may choose at the provider; may be repeated.
    passthrough
        A provider that it may ask for anything, at /passthrough/PROVIDER/...; "*" for all of
        them; may be repeated.
    """
    from ....control import keys

    def work(connection: Transaction, known: KnownKeys, actor: Actor) -> KeyChange:
        wanted = {"name": name, **fields}
        return keys.create(connection, msgspec.convert(wanted, keys.NewKey), known, actor)

    try:
        fields = fields_of(models, rpm, tpm, max_concurrent, budget_usd, budget_window, expires,
                         team, label, override, passthrough)  # fmt: skip
    except ValueError as exc:
        return usage_error(str(exc))
    return change(config, work, "is made")


def edit(
    name: str,
    /,
    *,
    models: str | None = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    max_concurrent: MaxConcurrent = None,
    budget_usd: BudgetUsd = None,
    budget_window: BudgetWindow = None,
    expires: Expiry = None,
    team: str | None = None,
    label: Several = (),
    override: Several = (),
    passthrough: Several = (),
    clear: Annotated[tuple[KeyLimit, ...], Parameter(negative="", show_default=False)] = (),
    config: ConfigFile = None,
) -> int:
    """Change what a key may do; what is not given stays.

    Parameters
    ----------
    name
        The key's name.
    models
        The models it may use, separated by commas; "*" for all.
    team
        The team whose limits hold, too.
    label
        A label, as NAME=VALUE; may be repeated, and replaces all labels.
    override
        A member of a body by which it may choose at the provider; replaces all.
    passthrough
        A provider that it may ask for anything, at /passthrough/PROVIDER/...; "*" for all of
        them; may be repeated, and replaces all.
    clear
        A limit or a permission to take away, or all labels; may be repeated.
    """
    from ....control import changes, keys

    def work(connection: Transaction, known: KnownKeys, actor: Actor) -> KeyChange:
        wanted = msgspec.convert(fields, keys.KeyEdit)
        return keys.edit(connection, name, wanted, changes.Precondition(), known, actor)

    try:
        fields = fields_of(models, rpm, tpm, max_concurrent, budget_usd, budget_window, expires,
                         team, label, override, passthrough)  # fmt: skip
        if both := [each for each in clear if each in fields]:
            raise ValueError(f"--clear {both[0]} contradicts what is given for it")
        fields |= {each: EMPTY.get(each) for each in clear}
    except ValueError as exc:
        return usage_error(str(exc))
    if not fields:
        return usage_error("nothing to change is given")
    return change(config, work, "is changed")
