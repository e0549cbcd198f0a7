"""`gateway users`: the people who sign in to the admin API and the dashboard."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from cyclopts import App

from ...config.paths import config_path
from ...core.records.audit import AuditAction, AuditEvent, AuditResult
from ...errors import ConfigError, InvalidRequest, StoreUnavailable
from ..audit_entry import by_operator
from ..options import ConfigFile, Flag
from ..output.columns import print_columns, print_json
from ..store import opened
from .check import report

if TYPE_CHECKING:
    from ...store.accounts.users import Refused, User, UserChange
    from ...store.engine.database import Database

_COLUMNS: Final = ("name", "role", "state", "last sign-in", "password of")
_MICROSECONDS: Final = 1_000_000

RoleName = Literal["viewer", "analyst", "operator", "admin"]

app = App(name="users", help="Make, list and change the people who sign in to the admin API.")


@app.command
def create(name: str, /, *, role: RoleName = "viewer", config: ConfigFile = None) -> int:
    """Make a user. The password is asked for, or is the first line of stdin.

    Running gateways know the user at once.

    Parameters
    ----------
    name
        What the user signs in with: letters, digits and . _ @ + -
    role
        What the user may do: see figures (viewer), prompts and answers as well (analyst), act on
        the gateway (operator), manage users (admin).
    """

    def work(database: Database) -> int:
        from ...admin.accounts.passwords import hash_now
        from ...admin.accounts.rules import valid_name, valid_password
        from ...admin.accounts.tokens import new_user_id
        from ...store.accounts import users
        from ...store.writing import chain

        user = valid_name(name)
        hashed = hash_now(valid_password(_password(), user))

        def make(connection: Any) -> User | Refused:
            made = users.create(
                connection, user_id=new_user_id(), name=user, role=role, password=hashed, now=_now()
            )
            if isinstance(made, users.User):
                event = by_operator(
                    AuditAction.USER_CREATED, AuditResult.OK, user, new={"role": role}
                )
                chain.append(connection, [event])
            return made

        made = database.write_now(make)
        if not isinstance(made, users.User):
            return _error(f"there is a user {user!r} already")
        _say(f"{user!r} can sign in now, as {role}")
        return 0

    return _run(config, work)


@app.command(name="list")
def list_(*, json: Flag = False, config: ConfigFile = None) -> int:
    """List the users.

    Parameters
    ----------
    json
        Print an array of objects instead of columns.
    """

    def work(database: Database) -> int:
        from ...store.accounts import users

        found = database.read_now(users.all_users)
        if json:
            print_json(found)
        elif found:
            print_columns([_COLUMNS, *map(_row, found)])
        else:
            _say("there are no users; make one with `gateway users create NAME --role admin`")
        return 0

    return _run(config, work)


@app.command
def disable(name: str, /, *, config: ConfigFile = None) -> int:
    """Keep a user out, and end all sessions of that user.

    Parameters
    ----------
    name
        The user's name.
    """
    return _change(config, name, AuditAction.USER_CHANGED, disabled=True)


@app.command
def enable(name: str, /, *, config: ConfigFile = None) -> int:
    """Let a user in again who was disabled, or who is locked out after failed sign-ins.

    Parameters
    ----------
    name
        The user's name.
    """
    return _change(config, name, AuditAction.USER_CHANGED, unlock=True, disabled=False)


@app.command
def role(name: str, role: RoleName, /, *, config: ConfigFile = None) -> int:
    """Change what a user may do, from the user's next request on.

    Parameters
    ----------
    name
        The user's name.
    role
        viewer, analyst, operator or admin.
    """
    return _change(config, name, AuditAction.USER_CHANGED, role=role)


@app.command
def passwd(name: str, /, *, config: ConfigFile = None) -> int:
    """Set a user's password, and end all sessions of that user.

    The password is asked for, or is the first line of stdin.

    Parameters
    ----------
    name
        The user's name.
    """
    return _change(config, name, AuditAction.PASSWORD_CHANGED, unlock=True, new_password=True)


def _change(
    config: Path | None,
    name: str,
    action: AuditAction,
    *,
    unlock: bool = False,
    new_password: bool = False,
    **what: Any,
) -> int:
    def work(database: Database) -> int:
        from ...admin.accounts.passwords import hash_now
        from ...admin.accounts.rules import same_name, valid_password
        from ...admin.accounts.subjects import account_key
        from ...store.accounts import failures, users
        from ...store.writing import chain

        user = same_name(name)
        found = database.read_now(lambda connection: users.by_name(connection, user))
        if found is None:
            return _error(f"there is no user {user!r}")
        if new_password:
            what["password"] = hash_now(valid_password(_password(), user))

        def change(connection: Any) -> UserChange | Refused:
            if unlock:
                failures.forget(connection, [account_key(user)])
            done = users.change(connection, found.id, now=_now(), **what)
            if isinstance(done, users.UserChange):
                chain.append(connection, [_event(action, done)])
            return done

        done = database.write_now(change)
        if done is users.Refused.LAST_ADMIN:
            return _error(f"{user!r} is the last enabled admin; make another one first")
        if done is users.Refused.EXTERNAL:
            return _error(f"{user!r} signs in at the provider of [admin.oidc], without a password")
        if not isinstance(done, users.UserChange):
            return _error(f"there is no user {user!r}")
        _say(_told(done, new_password=new_password))
        return 0

    return _run(config, work)


def _event(action: AuditAction, done: UserChange) -> AuditEvent:
    old, new = done.differences
    values = {"old": old, "new": new} if action is AuditAction.USER_CHANGED else {}
    return by_operator(
        action, AuditResult.OK, done.after.name, **values, sessions_ended=done.sessions_ended
    )


def _told(done: UserChange, *, new_password: bool) -> str:
    user, ended = done.after, done.sessions_ended
    sessions = f"; {ended} session{'' if ended == 1 else 's'} ended" if ended else ""
    if new_password:
        return f"{user.name!r} has a new password{sessions}"
    return f"{user.name!r} is {'disabled' if user.disabled else user.role}{sessions}"


def _run(config: Path | None, work: Callable[[Database], int]) -> int:
    try:
        with opened(config or config_path()) as database:
            return work(database)
    except ConfigError as exc:
        report(exc)
    except InvalidRequest as exc:
        _error(exc.message.removesuffix("."))
    except StoreUnavailable as exc:
        _error(exc.message)
    return 1


def _password() -> str:
    """Return the password: typed twice at a terminal, else the first line of stdin."""
    if not sys.stdin.isatty():
        # Not an argument: every user of the machine can read those of its processes.
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != first:
        raise InvalidRequest("the two are not the same")
    return first


def _now() -> int:
    return round(datetime.now(UTC).timestamp() * _MICROSECONDS)


def _row(user: User) -> tuple[str, ...]:
    state = "disabled" if user.disabled else "enabled"
    last = "never" if user.last_sign_in is None else _time(user.last_sign_in)
    return user.name, user.role, state, last, _time(user.password_changed)


def _time(microseconds: int) -> str:
    moment = datetime.fromtimestamp(microseconds // _MICROSECONDS, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _error(what: str) -> int:
    _say(f"error: {what}")
    return 1


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
