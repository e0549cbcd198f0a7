"""`tokens.toml` beside the configuration file: keys that `gateway tokens` and `admin-keys` make.

A program writes this file, but people may have written in it too, and lose nothing by that. That
a new text means what it should is checked by parsing it, before anything is written.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import tomli_w

from ...errors import ConfigError
from .. import load
from ..environment import MissingVariable, expand, only_unset
from ..paths import tokens_path
from ..sources.state import make_folder
from .text import with_entry, without_entry

_NEW_MODE: Final = 0o600
# The tables that may stand in the file, and what one of each is called.
TOKENS: Final = "tokens"
ADMINS: Final = "admins"
_ONE: Final = {TOKENS: "token", ADMINS: "admin key"}


def add(
    config_file: Path,
    entry: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    kind: str = TOKENS,
) -> bool:
    """Append `entry`, a table of `[[kind]]`; return whether it is now the only one of all.

    Values of None are left out, and a `${` is no reference. Raises ConfigError, with nothing
    changed, unless the whole configuration is valid, without the entry and with it, but for
    variables that are not set.
    """
    path = tokens_path(config_file)
    table = {key: _literal(value) for key, value in entry.items() if value is not None}
    with _locked(path, config_file) as file:
        _check(lambda: load.load(config_file, environ))
        old = _tree(path, file.text)
        text = with_entry(file.text, _entry(table, kind))
        new = _changed_tree(path, text)
        config_text, beside = _read(config_file), load.TokensFile(text, str(path))
        _check(lambda: load.parse(config_text, str(config_file), environ, beside))
        if new != {**old, kind: [*old.get(kind, ()), table]}:
            raise _only_by_hand(path)
        file.write(text)
    there = _names(_tree(config_file, config_text), environ, kind)
    here = _names(new, environ, kind)
    return len(here) + len(there) == 1


def remove(
    config_file: Path,
    name: str,
    *,
    may_open: bool = False,
    environ: Mapping[str, str] = os.environ,
    kind: str = TOKENS,
) -> bool:
    """Cut the entry called `name` out; return whether it was the only one of all.

    The files must be TOML, but nothing more: a lost key must be revocable while something else
    is wrong. Raises ConfigError, with nothing changed, if there is no such entry, or if it is
    the only token and not `may_open`, since everyone may use a gateway without tokens.
    """
    path = tokens_path(config_file)
    with _locked(path, config_file) as file:
        old = _tree(path, file.text)
        here = _names(old, environ, kind)
        there = _names(_tree(config_file, _read(config_file)), environ, kind)
        number = _find(name, path, here, config_file, there, kind)
        only = len(here) + len(there) == 1
        if only and kind == TOKENS and not may_open:
            raise ConfigError(
                [
                    f"{name!r} is the only token, and without any the gateway is open to everyone"
                    " who reaches it; create another one first or, if that is meant, set"
                    " open = true in [server] and pass --open"
                ]
            )
        text = without_entry(file.text, number, kind)
        if text is None:
            raise ConfigError([f"{path}: {name!r} is not under a [[{kind}]]; remove it by hand"])
        rest = [table for at, table in enumerate(old[kind]) if at != number]
        others = {key: value for key, value in old.items() if key != kind}
        if _changed_tree(path, text) != ({**others, kind: rest} if rest else others):
            raise _only_by_hand(path)
        file.write(text)
    return only


def names(
    path: Path, environ: Mapping[str, str] = os.environ, kind: str = TOKENS
) -> frozenset[str]:
    """Return the names of that `kind` in the file at `path`, which the loader has accepted."""
    try:
        return frozenset(_names(_tree(path, _read(path)), environ, kind))
    except FileNotFoundError:
        return frozenset()


def _check(read: Callable[[], object]) -> None:
    """Call `read`. Variables that are not set are no fault: the gateway's environment may differ.

    Raises ConfigError for all other faults.
    """
    try:
        read()
    except ConfigError as exc:
        if not only_unset(exc.problems):
            raise


# The file...


class _File:
    """The file, locked against other writers. `folder` is a descriptor of its folder."""

    def __init__(self, target: Path, folder: int, config_file: Path) -> None:
        self._target = target
        self._folder = folder
        self._config_file = config_file
        self._was: os.stat_result | None = None
        self.text = ""
        with contextlib.suppress(FileNotFoundError):
            self.text = _read(target)
            self._was = target.stat()

    def write(self, text: str) -> None:
        """Replace the file's text by `text`, all of it or, if anything fails, none of it."""
        descriptor, temporary = tempfile.mkstemp(
            prefix=f".{self._target.name}.", dir=self._target.parent
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                self._dress(descriptor)
                file.write(text.encode())
                file.flush()
                os.fsync(descriptor)
            os.replace(temporary, self._target)
        except BaseException:
            os.unlink(temporary)
            raise
        # The file is replaced. Some file systems cannot promise that it survives a power loss.
        with contextlib.suppress(OSError):
            os.fsync(self._folder)

    def _dress(self, descriptor: int) -> None:
        """Give the file its owner and its mode: those it had, if it was there."""
        like = self._was
        if like is None and os.geteuid() == 0:
            # The gateway could not read a file of root's. It runs as the owner of the folder that
            # it writes to; where that is the folder of the configuration, as the file's owner.
            beside = self._target.parent == self._config_file.parent.absolute()
            like = (self._config_file if beside else self._target.parent).stat()
        made = os.fstat(descriptor)
        if like is not None and (like.st_uid, like.st_gid) != (made.st_uid, made.st_gid):
            os.fchown(descriptor, like.st_uid, like.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(self._was.st_mode) if self._was else _NEW_MODE)


@contextlib.contextmanager
def _locked(path: Path, config_file: Path) -> Iterator[_File]:
    if path == config_file:
        raise ConfigError([f"{path}: is the configuration file; give that another name"])
    # A symbolic link stays, and the file it points to is replaced.
    target = Path(os.path.realpath(path))
    # The first key may be made before the first start.
    make_folder(path.parent.absolute(), config_file)
    try:
        # The folder is locked, not the file: every writer replaces the file by another, so a writer
        # that waited for a lock on it would hold the lock of a file that is gone.
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield _File(target, folder, config_file)
        finally:
            os.close(folder)
    except OSError as exc:
        about = f" ({exc.filename})" if exc.filename else ""
        raise ConfigError([f"{path}: cannot be changed: {exc.strerror}{about}"]) from exc


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{path}: not UTF-8 (byte {exc.start}); TOML files must be"]) from exc


# What is in it...


def _tree(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError([f"{path}: not valid TOML: {exc}"]) from exc


def _changed_tree(path: Path, text: str) -> dict[str, Any]:
    """Return the tree of `text`, the file's text after a change. Raises ConfigError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise _only_by_hand(path) from None


def _only_by_hand(path: Path) -> ConfigError:
    return ConfigError([f"{path}: is written in a way that only a person can change; edit it"])


def _names(tree: dict[str, Any], environ: Mapping[str, str], kind: str) -> list[str]:
    """Return the names of that `kind` in their order; "" for one without a name."""
    tables = tree.get(kind, ())
    found = []
    for table in tables if isinstance(tables, list) else ():
        name = table.get("name") if isinstance(table, dict) else None
        # A name that cannot be expanded here keeps its place.
        with contextlib.suppress(MissingVariable):
            name = expand(name, environ)
        found.append(name if isinstance(name, str) else "")
    return found


def _find(
    name: str, path: Path, here: list[str], config_file: Path, there: list[str], kind: str
) -> int:
    """Return the number of the entry to remove."""
    one = _ONE[kind]
    if name in there:
        raise ConfigError(
            [
                f"{name!r} stands in {config_file}, which is yours to edit: remove its [[{kind}]]"
                " there and run `gateway reload`"
            ]
        )
    if name not in here:
        known = ", ".join(each for each in (*there, *here) if each) or "none"
        raise ConfigError([f"there is no {one} {name!r}; known {one}s: {known}"])
    if here.count(name) > 1:
        raise ConfigError([f"{path}: [[{kind}]] {name!r} name: appears twice; remove one by hand"])
    return here.index(name)


def _entry(table: Mapping[str, Any], kind: str = TOKENS) -> str:
    # tomli_w would write a short table as an element of `tokens = [...]`, and no [[tokens]] could
    # follow that.
    own = {key: value for key, value in table.items() if not isinstance(value, dict)}
    within = {key: value for key, value in table.items() if isinstance(value, dict)}
    tables = tomli_w.dumps({kind: within}) if within else ""
    return f"[[{kind}]]\n{tomli_w.dumps(own)}{tables}"


def _literal(value: Any) -> Any:
    """Return `value` so that it is itself again once references have been replaced."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return value
