"""`gateway tokens`: create, list and revoke the keys that clients call with."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cyclopts import App

from ...config import load
from ...config.environment import only_unset
from ...config.keys.tables import Token
from ...config.listener.server import Server
from ...config.paths import config_path, tokens_path
from ...config.tokens import file as tokens_file
from ...control.secret import new_key_id, new_secret
from ...core.aws_signature import secret_of
from ...core.records.audit import AuditAction, AuditResult
from ...errors import ConfigError
from ..audit_entry import by_operator, record_action
from ..moments import WRONG_EXPIRY, time_to_come
from ..options import (
    BudgetUsd,
    BudgetWindow,
    ConfigFile,
    Expiry,
    Flag,
    MaxConcurrent,
    Rpm,
    Several,
    Tpm,
)
from ..output.columns import print_columns, print_json
from ..output.plain_text import printable_line
from .check import report
from .reload import tell_running

_PER: Final = {"day": "a day", "week": "a week", "month": "a month", "total": "in total"}
_OWN: Final = ("name", "key")
_NO_ROOT: Final = (
    "--aws needs a secret that the pairs' secrets follow from: in [server] set"
    ' aws_secret = "${GATEWAY_AWS_SECRET}", and the variable to the output of openssl rand -hex 32'
)
_COLUMNS: Final = ("name", "models", "limits", "budget", "expires", "file")


app = App(name="tokens", help="Make, list and revoke the keys that clients call with.")


@app.command
def create(
    name: str,
    /,
    *,
    models: str | None = None,
    model: Several = (),
    rpm: Rpm = None,
    tpm: Tpm = None,
    max_concurrent: MaxConcurrent = None,
    budget_usd: BudgetUsd = None,
    budget_window: BudgetWindow = None,
    expires: Expiry = None,
    passthrough: Several = (),
    aws: Flag = False,
    config: ConfigFile = None,
) -> int:
    """Make a key and print it, this once: only its hash is stored, in tokens.toml.

    That file is beside the configuration file. A running gateway takes the key at once.

    Parameters
    ----------
    name
        Whom the key is for, as it will stand in the request log.
    models
        The models it may use, separated by commas. Default: all.
    model
        One model that it may use; may be repeated.
    passthrough
        A provider that it may ask for anything, at /passthrough/PROVIDER/...; "*" for all of
        them; may be repeated.
    aws
        Print a pair of access key and secret as well, for Amazon's SDKs, which sign their requests.
        The configuration needs `aws_secret` in `[server]`.
    """
    budget = {"usd": budget_usd, **({"window": budget_window} if budget_window else {})}
    allowed = [*(each.strip() for each in models.split(",")), *model] if models else list(model)
    wrong = None
    if budget_usd is None and budget_window is not None:
        wrong = "--budget-window needs --budget-usd"
    elif models == "" or "" in allowed:
        wrong = "--models has an empty name; leave it out to allow all"
    until = None
    if expires is not None and (until := time_to_come(expires, datetime.now(UTC))) is None:
        wrong = wrong or WRONG_EXPIRY
    if wrong:
        return _usage_error(wrong)
    file = config or config_path()
    key = new_secret()
    entry = {
        "name": name,
        "key": f"sha256:{hashlib.sha256(key.encode()).hexdigest()}",
        "models": allowed or None,
        "rpm": rpm,
        "tpm": tpm,
        "max_concurrent": max_concurrent,
        "expires_at": until,
        "budget": None if budget_usd is None else budget,
        "passthrough": list(passthrough) or None,
    }
    try:
        pair = _new_pair(file) if aws else None
        first = tokens_file.add(file, {**entry, "aws_access_key_id": pair and pair[0]})
    except ConfigError as exc:
        report(exc)
        return 1
    try:
        sys.stdout.write(f"{key}\n")
        if pair is not None:
            sys.stdout.write("AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n".format(*pair))
        sys.stdout.flush()
    except OSError as exc:
        _say(f"error: the key could not be shown: {exc.strerror}; revoke {name!r} and try again")
        return 1
    limits = [key for key, value in entry.items() if value is not None and key not in _OWN]
    record_action(
        file, by_operator(AuditAction.TOKEN_CREATED, AuditResult.OK, name, settings=limits)
    )
    _say(f"{name!r} is added to {tokens_path(file)}; its key is shown this once and not stored")
    if first:
        _say("until now the gateway was open to everyone; from now on it wants a key")
    return tell_running(file)


@app.command(name="list")
def list_(*, json: Flag = False, config: ConfigFile = None) -> int:
    """List the tokens of the configuration file and of tokens.toml, without their keys.

    Parameters
    ----------
    json
        Print an array of objects instead of columns.
    """
    file = config or config_path()
    beside = tokens_path(file)
    try:
        tokens = load.tokens(file)
        made_here = tokens_file.names(beside)
    except ConfigError as exc:
        report(exc)
        return 1
    found = [(token, str(beside if token.name in made_here else file)) for token in tokens]
    if json:
        _print_json(found)
    elif not found:
        _say("there are no tokens: the gateway is open to everyone")
    elif sys.stdout.isatty():
        _print_table([_row(*each) for each in found])
    else:
        print_columns([_COLUMNS, *(_row(*each) for each in found)])
    return 0


@app.command
def revoke(
    name: str,
    /,
    *,
    open: Flag = False,
    config: ConfigFile = None,
) -> int:
    """Take a token out of tokens.toml, so that its key is refused from then on.

    Parameters
    ----------
    name
        The token's name.
    open
        Go on even if it is the only token, after which the gateway is open to everyone. The
        configuration must say `open = true` in `[server]` too, or a running gateway would refuse
        the change and still accept the key.
    """
    file = config or config_path()
    try:
        only = tokens_file.remove(file, name, may_open=open and load.may_be_open(file))
    except ConfigError as exc:
        report(exc)
        return 1
    record_action(file, by_operator(AuditAction.TOKEN_REVOKED, AuditResult.OK, name))
    _say(f"{name!r} is removed from {tokens_path(file)}")
    if only:
        _say("warning: that was the only token; the gateway is now open to everyone")
    try:
        load.load(file)
    except ConfigError as exc:
        if only_unset(exc.problems):
            return tell_running(file)
        # The token is removed either way, but a gateway refuses a file with these faults.
        report(exc)
        _say("a running gateway may refuse this configuration, and then still accepts the key")
        tell_running(file)
        return 1
    return tell_running(file)


def _new_pair(file: Path) -> tuple[str, str]:
    """Return a new id and its secret. Raises ConfigError if nothing is there to derive it from."""
    root = load.table(file, Server).aws_secret
    if not root:
        raise ConfigError([f"{file}: {_NO_ROOT}"])
    key_id = new_key_id()
    return key_id, secret_of(root, key_id)


# How tokens are shown...


def _row(token: Token, file: str) -> tuple[str, ...]:
    limits = (("rpm", token.rpm), ("tpm", token.tpm), ("concurrent", token.max_concurrent))
    budget, expires = token.budget, token.expires_at
    gone = " (expired)" if expires and expires <= datetime.now(UTC) else ""
    cells = (
        token.name,
        ", ".join(token.models),
        ", ".join(f"{value} {what}" for what, value in limits if value is not None) or "-",
        f"{_usd(budget.usd)} USD {_PER[budget.window]}" if budget else "-",
        f"{expires.isoformat(timespec='seconds')}{gone}" if expires else "never",
        file,
    )
    # A name may hold what a terminal takes for a command.
    return tuple(map(printable_line, cells))


def _usd(amount: float) -> str:
    return f"{amount:.9f}".rstrip("0").rstrip(".")


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*_COLUMNS)
    for row in rows:
        # As texts, since square brackets in a plain string are markup.
        table.add_row(*map(Text, row))
    Console().print(table)


def _print_json(found: Sequence[tuple[Token, str]]) -> None:
    shown = [
        {
            "name": token.name,
            "models": token.models,
            "rpm": token.rpm,
            "tpm": token.tpm,
            "max_concurrent": token.max_concurrent,
            "budget": token.budget,
            "expires_at": token.expires_at,
            "overrides": token.overrides,
            "passthrough": token.passthrough,
            "aws_access_key_id": token.aws_access_key_id,
            "file": file,
        }
        for token, file in found
    ]
    print_json(shown)


def _usage_error(what: str) -> int:
    _say(f"error: {what}")
    return 2


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
