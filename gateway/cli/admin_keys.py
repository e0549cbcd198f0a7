"""`gateway admin-keys`: create, list and revoke the keys of the admin API, for programs."""

from __future__ import annotations

import hashlib
import sys
from typing import Annotated, Final, Literal

from cyclopts import App, Parameter

from ..config import load
from ..config.environment import only_unset
from ..config.paths import config_path, tokens_path
from ..config.tokens import file as keys_file
from ..config.tokens.file import ADMINS
from ..control.secret import new_secret
from ..core.records.audit import AuditAction, AuditResult
from ..errors import ConfigError
from .audit_entry import by_operator, record_action
from .commands.check import report
from .commands.reload import tell_running
from .options import ConfigFile, Flag
from .output.columns import print_columns, print_json

_COLUMNS: Final = ("name", "scopes", "file")
# What a key without `scopes` may do: they were added later.
_ALL: Final = "everything"

Scope = Literal["viewer", "analyst", "operator", "admin", "metrics"]

app = App(name="admin-keys", help="Make, list and revoke the keys of the admin API, for programs.")


@app.command
def create(
    name: str,
    /,
    *,
    scope: Annotated[tuple[Scope, ...], Parameter(negative="")] = ("viewer",),
    config: ConfigFile = None,
) -> int:
    """Make a key and print it, this once: only its hash is stored, in tokens.toml.

    That file is beside the configuration file. A running gateway takes the key at once.

    Parameters
    ----------
    name
        What the key is called in the audit log.
    scope
        What it may do, the least by default: see figures (viewer), prompts and answers as well
        (analyst), act on the gateway (operator), manage users (admin), or read /metrics and
        nothing else (metrics). May be repeated.
    """
    key, file = new_secret(), config or config_path()
    scopes = list(dict.fromkeys(scope))
    digest = hashlib.sha256(key.encode()).hexdigest()
    entry = {"name": name, "key": f"sha256:{digest}", "scopes": scopes}
    try:
        keys_file.add(file, entry, kind=ADMINS)
    except ConfigError as exc:
        report(exc)
        return 1
    try:
        sys.stdout.write(f"{key}\n")
        sys.stdout.flush()
    except OSError as exc:
        _say(f"error: the key could not be shown: {exc.strerror}; revoke {name!r} and try again")
        return 1
    record_action(
        file, by_operator(AuditAction.ADMIN_KEY_CREATED, AuditResult.OK, name, scopes=scopes)
    )
    _say(
        f"{name!r} is added to {tokens_path(file)} and may do what {', '.join(scopes)} may; its key"
        " is shown this once and not stored"
    )
    return tell_running(file)


@app.command(name="list")
def list_(*, json: Flag = False, config: ConfigFile = None) -> int:
    """List the keys of the configuration file and of tokens.toml, without the keys themselves.

    Parameters
    ----------
    json
        Print an array of objects instead of columns.
    """
    file = config or config_path()
    beside = tokens_path(file)
    try:
        admins = load.outline(file).admins
        made_here = keys_file.names(beside, kind=ADMINS)
    except ConfigError as exc:
        report(exc)
        return 1
    found = [
        {
            "name": admin.name,
            "scopes": admin.scopes,
            "file": str(beside if admin.name in made_here else file),
        }
        for admin in admins
    ]
    if json:
        print_json(found)
    elif not found:
        _say("there are no keys of the admin API; people sign in as users: gateway users")
    else:
        rows = [
            (admin.name, ", ".join(admin.scopes or (_ALL,)), str(each["file"]))
            for admin, each in zip(admins, found, strict=True)
        ]
        print_columns([_COLUMNS, *rows])
    return 0


@app.command
def revoke(name: str, /, *, config: ConfigFile = None) -> int:
    """Take a key out of tokens.toml, so that it is refused from then on.

    Parameters
    ----------
    name
        The key's name.
    """
    file = config or config_path()
    try:
        keys_file.remove(file, name, kind=ADMINS)
    except ConfigError as exc:
        report(exc)
        return 1
    record_action(file, by_operator(AuditAction.ADMIN_KEY_REVOKED, AuditResult.OK, name))
    _say(f"{name!r} is removed from {tokens_path(file)}")
    try:
        load.load(file)
    except ConfigError as exc:
        if only_unset(exc.problems):
            return tell_running(file)
        # The key is removed either way, but a gateway refuses a file with these faults.
        report(exc)
        _say("a running gateway may refuse this configuration, and then still accepts the key")
        tell_running(file)
        return 1
    return tell_running(file)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
