"""`gateway keys`: the keys in the database, which running gateways take up within two seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from cyclopts import App

from ....config.keys.stored import KeyState
from ...key_work import change, every_key, look, usage_error
from ...options import ConfigFile, Flag, Several
from . import key_terms

if TYPE_CHECKING:
    from ....control.key_view import KeyView
    from ....control.known_keys import KnownKeys
    from ....store.control.generations import Transaction

_DONE: Final = {
    KeyState.ACTIVE: "is enabled",
    KeyState.DISABLED: "is disabled",
    KeyState.REVOKED: "is revoked",
}

app = App(name="keys", help="Make and change keys in the database, while the gateway runs.")
app.command(key_terms.create)
app.command(key_terms.edit)


@app.command
def rotate(name: str, /, *, overlap: float = 3600, config: ConfigFile = None) -> int:
    """Give a key a new secret and print it, this once.

    Parameters
    ----------
    name
        The key's name.
    overlap
        For how many seconds the old secret is taken as well.
    """
    from ....control import keys
    from ....control.changes import Precondition

    if not 0 <= overlap <= keys.MOST_OVERLAP:
        return usage_error(f"--overlap must be from 0 to {keys.MOST_OVERLAP} seconds")
    return change(
        config,
        lambda connection, known, actor: keys.rotate(
            connection, name, overlap, Precondition(), known, actor
        ),
        "has a new secret",
    )


@app.command
def disable(name: str, /, *, config: ConfigFile = None) -> int:
    """Refuse a key until it is enabled again.

    Parameters
    ----------
    name
        The key's name.
    """
    return _set_state(name, KeyState.DISABLED, config)


@app.command
def enable(name: str, /, *, config: ConfigFile = None) -> int:
    """Take a key that was disabled again.

    Parameters
    ----------
    name
        The key's name.
    """
    return _set_state(name, KeyState.ACTIVE, config)


@app.command
def revoke(name: str, /, *, config: ConfigFile = None) -> int:
    """Refuse a key for good. Its name stays in the records, and is not given to another.

    Parameters
    ----------
    name
        The key's name.
    """
    return _set_state(name, KeyState.REVOKED, config)


@app.command(name="list")
def list_(
    *,
    text: str = "",
    team: Several = (),
    state: Several = (),
    source: Literal["any", "store", "file"] = "any",
    json: Flag = False,
    config: ConfigFile = None,
) -> int:
    """List the keys of the database and of the files, without their secrets.

    Parameters
    ----------
    text
        Only those with this in their name.
    team
        Only those of this team; may be repeated.
    state
        Only active, disabled, revoked or expired ones; may be repeated.
    source
        Only those of the database (store), or of the files (file).
    json
        Print an array of objects instead of columns.
    """
    from ....control.key_view import KeyFilter

    wanted = KeyFilter(text=text, team=team, state=state, source=source)
    return look(
        config,
        lambda connection, known, now: [*every_key(connection, known, now, wanted)],
        json=json,
    )


@app.command
def show(name: str, /, *, json: Flag = False, config: ConfigFile = None) -> int:
    """Show one key, without its secret.

    Parameters
    ----------
    name
        The key's name.
    json
        Print an array with one object instead of columns.
    """
    from ....control import key_view
    from ....errors import NotFound

    def work(connection: Transaction, known: KnownKeys, now: float) -> list[KeyView]:
        found = key_view.find(connection, name, known, now)
        if found is None:
            raise NotFound(f"there is no key {name!r}")
        return [found]

    return look(config, work, json=json)


def _set_state(name: str, state: KeyState, config: ConfigFile) -> int:
    from ....control import keys
    from ....control.changes import Precondition

    return change(
        config,
        lambda connection, known, actor: keys.set_state(
            connection, name, state, Precondition(), known, actor
        ),
        _DONE[state],
    )
