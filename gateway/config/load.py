"""From a file to a valid `Config`, or to the whole list of what is wrong with it.

Every table is read on its own and every fault is collected: a person fixes a file once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from ..errors import ConfigError
from ..providers.presets.catalogue import near_names, presets
from ..providers.presets.completed import UnknownPreset, completed
from ..providers.registry import KINDS
from ..providers.settings import Provider
from . import schema
from .checks.cross_check import Unread, all_names, cross_check
from .checks.keys import KeyCheck
from .environment import MissingVariable, StandIns, expand
from .keys.tables import MadeToken, Team, Token
from .listener.server import Server
from .paths import tokens_path
from .sources.text import absent, parse_toml, read_text
from .tables import TableReader, got, read_plain, unknown_key

T = TypeVar("T", bound=msgspec.Struct)

# Tables that there are once; what else `Config` has are lists of them, and the providers by name.
_SINGLE: Final[dict[str, type[msgspec.Struct]]] = {
    field.name: field.type
    for field in msgspec.structs.fields(schema.Config)
    if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
}
_KNOWN: Final = (*_SINGLE, "providers", "models", "teams", "tokens", "admins")


class TokensFile(msgspec.Struct, frozen=True):
    """The text of a file of tokens; `name` stands for the file in messages."""

    text: str
    name: str


def load(path: Path, environ: Mapping[str, str] = os.environ) -> schema.Config:
    """Read, expand and check the file at `path`, and the file of tokens beside it.

    Raises ConfigError with every problem.
    """
    text = read_text(path)
    if text is None:
        raise absent(path)
    beside = tokens_path(path, text)
    left = path.with_name(beside.name)
    if left.exists() and not (beside.exists() and left.samefile(beside)):
        raise ConfigError([f"{left}: is read no more: move it to {beside}"])
    tokens = read_text(beside) if beside != path else None
    return parse(text, str(path), environ, TokensFile(tokens, str(beside)) if tokens else None)


def tokens(path: Path, environ: Mapping[str, str] = os.environ) -> tuple[Token, ...]:
    """Return the tokens of both files; faults in all other tables are ignored.

    Of a variable that is not set only the name is known. Raises ConfigError.
    """
    found: tuple[Token, ...] = ()
    problems: list[str] = []
    beside = tokens_path(path)
    for file in (path, beside) if beside != path else (path,):
        text = read_text(file)
        if text is None and file == path:
            raise absent(path)
        reader = _Reader(str(file), StandIns(environ))
        found += reader.tokens(parse_toml(text or "", str(file)))
        problems += reader.problems
    if problems:
        raise ConfigError(problems)
    return found


def outline(path: Path, environ: Mapping[str, str] = os.environ) -> schema.Config:
    """Return what can be read of both files, with stand-ins for variables that are not set."""
    text = read_text(path)
    if text is None:
        raise absent(path)
    reader = _Reader(str(path), StandIns(environ))
    config = reader.config(parse_toml(text, str(path)))
    beside = tokens_path(path)
    more = read_text(beside) if beside != path else None
    return _joined(config, reader.made(parse_toml(more or "", str(beside))))


def provider(path: Path, name: str, environ: Mapping[str, str] = os.environ) -> Provider | None:
    """Return the provider of that name; faults elsewhere are ignored. Raises ConfigError.

    None: neither the file nor the catalogue has it. Without a file, and where that has no such
    table, it is the preset of the name.
    """
    tree = parse_toml(read_text(path) or "", str(path)).get("providers", {})
    within = isinstance(tree, dict) and name in tree
    if not within and name not in presets():
        return None
    reader = _Reader(str(path) if within else f"preset {name}", environ)
    found = reader._providers({name: tree[name] if within else {}}).get(name)
    if found is None:
        raise ConfigError(reader.problems)
    return found


def store(path: Path, environ: Mapping[str, str] = os.environ) -> schema.Store:
    """Return the table `[store]`; faults elsewhere are ignored. Raises ConfigError."""
    return table(path, schema.Store, environ)


def table(path: Path, kind: type[T], environ: Mapping[str, str] = os.environ) -> T:
    """Return the one table of that `kind`; faults elsewhere are ignored. Raises ConfigError."""
    text = read_text(path)
    if text is None:
        raise absent(path)
    reader = _Reader(str(path), environ)
    name = next(name for name, each in _SINGLE.items() if each is kind)
    found = reader.single(name, kind, parse_toml(text, str(path)))
    if found is None:
        raise ConfigError(reader.problems)
    return found


def may_be_open(path: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Say whether the file says that a gateway without tokens is meant."""
    try:
        return table(path, Server, environ).open
    except ConfigError:
        # A table with a fault says nothing until that is mended.
        return False


def parse(
    text: str,
    name: str,
    environ: Mapping[str, str],
    tokens: TokensFile | None = None,
    *,
    on_disk: bool = True,
) -> schema.Config:
    """Like `load`, of texts; `on_disk` says whether to look for the files that they name."""
    reader = _Reader(name, environ)
    config = reader.config(parse_toml(text, name))
    keys = KeyCheck(all_names(config, reader.unread), aws=bool(config.server.aws_secret))
    reader.check(cross_check(config, reader.unread, keys, on_disk=on_disk))
    problems = reader.problems
    if tokens is not None:
        reader = _Reader(tokens.name, environ)
        try:
            made = reader.made(parse_toml(tokens.text, tokens.name))
        except ConfigError as exc:
            raise ConfigError([*problems, *exc.problems]) from exc
        reader.check(keys.tokens(made.tokens))
        reader.check(keys.admins(made.admins))
        problems += reader.problems
        config = _joined(config, made)
    if problems:
        raise ConfigError(problems)
    return config


def _joined(config: schema.Config, made: schema.Config) -> schema.Config:
    tokens, admins = config.tokens + made.tokens, config.admins + made.admins
    return msgspec.structs.replace(config, tokens=tokens, admins=admins)


class _Reader:
    """Reads table after table and remembers what was wrong, and in which of them."""

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self.problems: list[str] = []
        self.unread = Unread(providers=set(), models=set())
        self._name = name
        self._environ = environ

    def config(self, tree: dict[str, Any]) -> schema.Config:
        """Return what could be read of `tree`."""
        for key in tree:
            if key not in _KNOWN:
                self._problem(f"[{key}]", "", unknown_key(key, _KNOWN))
        fields: dict[str, Any] = {}
        for key, kind in _SINGLE.items():
            if key in tree and (found := self._table(f"[{key}]", tree[key], kind)) is not None:
                fields[key] = found
        fields["providers"] = self._providers(tree.get("providers", {}))
        fields["models"] = self._array("models", tree, schema.Model, self.unread.models)
        fields["teams"] = self._array("teams", tree, Team, set())
        fields["tokens"] = self.tokens(tree)
        fields["admins"] = self._array("admins", tree, schema.Admin, set())
        return schema.Config(**fields)

    def single(self, name: str, kind: type[T], tree: dict[str, Any]) -> T | None:
        """Return the table of that name, read alone; None if something is wrong with it."""
        return self._table(f"[{name}]", tree.get(name, {}), kind)

    def made(self, tree: dict[str, Any]) -> schema.Config:
        """Return what could be read of a `tree` that may hold keys and nothing else."""
        for key in tree:
            if key not in ("tokens", "admins"):
                self._problem(f"[{key}]", "", "only [[tokens]] and [[admins]] may stand here")
        tokens = self._array("tokens", tree, MadeToken, set())
        return schema.Config(tokens=tokens, admins=self._array("admins", tree, schema.Admin, set()))

    def tokens(self, tree: dict[str, Any]) -> tuple[Token, ...]:
        """Return the tokens that could be read of `tree`."""
        return self._array("tokens", tree, Token, set())

    def check(self, problems: Iterable[str]) -> None:
        """Take note of what a check across tables has found."""
        self.problems += [f"{self._name}: {problem}" for problem in problems]

    def _providers(self, tree: Any) -> dict[str, Provider]:
        if not isinstance(tree, dict):
            self._problem("[providers]", "", "expected tables such as [providers.main]")
            return {}
        found: dict[str, Provider] = {}
        for name, value in tree.items():
            provider = self._provider(f"[providers.{name}]", name, value)
            if provider is None:
                self.unread.providers.add(name)
            else:
                found[name] = provider
        return found

    def _provider(self, where: str, name: str, given_tree: Any) -> Provider | None:
        """Return a provider's table, completed by its preset and read as its kind wants it."""
        if not isinstance(given_tree, dict):
            return self._table(where, given_tree, Provider)
        try:
            tree = completed(name, given_tree, self._environ)
            given = expand(tree.get("kind"), self._environ)
        except UnknownPreset as exc:
            self._problem(where, "preset", str(exc))
            return None
        except MissingVariable as exc:
            self._problem(where, "kind", str(exc))
            return None
        kind = KINDS.get(given) if isinstance(given, str) else None
        if kind is not None:
            return self._table(where, tree, kind.settings)
        known = " or ".join([f'"{each}"' for each in KINDS])
        what = f"{'' if 'kind' in tree else 'missing; '}expected {known}"
        if "kind" not in tree and (near := near_names(name)):
            what += f"; or is the preset {' or '.join(map(repr, near))} meant?"
        echo = got(given) if isinstance(given, str) and given == tree["kind"] else ""
        self._problem(where, "kind", what + echo)
        return None

    def _array(
        self, key: str, tree: dict[str, Any], kind: type[T], unread: set[str]
    ) -> tuple[T, ...]:
        """Return what could be read of the tables `key`; of the others the names, in `unread`."""
        items = tree.get(key, [])
        if not isinstance(items, list):
            self._problem(f"[[{key}]]", "", f"expected an array of tables: write [[{key}]]")
            unread.add("")
            return ()
        found: list[T] = []
        for number, item in enumerate(items, 1):
            label = item.get("name") if isinstance(item, dict) else None
            where = f"[[{key}]] {label!r}" if isinstance(label, str) else f"[[{key}]] #{number}"
            table = self._table(where, item, kind)
            if table is None:
                unread.add(label if isinstance(label, str) else "")
            else:
                found.append(table)
        return tuple(found)

    def _table(self, where: str, tree: Any, kind: type[T]) -> T | None:
        if (plain := read_plain(tree, kind)) is not None:
            return plain
        reader = TableReader(self._environ)
        found = reader.read("", tree, kind)
        for path, what in reader.problems:
            self._problem(where, path, what)
        return None if reader.problems else msgspec.convert(found, kind)

    def _problem(self, where: str, path: str, what: str) -> None:
        self.problems.append(f"{self._name}: {where}{' ' if path else ''}{path}: {what}")
