"""From a file to a valid `Config`, or to the whole list of what is wrong with it.

msgspec stops at the first error, so each table is converted on its own and every fault is
collected: a person fixes a file once, not once per fault.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from ..core.routing.attempts import RetryPolicy
from ..core.timeouts import TimeoutOverrides, Timeouts
from ..errors import ConfigError
from . import schema
from .check import cross_check
from .environment import MissingVariable, expand

T = TypeVar("T", bound=msgspec.Struct)

_SINGLE: Final[dict[str, type[msgspec.Struct]]] = {
    "server": schema.Server,
    "timeouts": Timeouts,
    "retry": RetryPolicy,
    "log": schema.Log,
}
_KNOWN: Final = (*_SINGLE, "providers", "models", "tokens")
_NESTED: Final[dict[tuple[type[msgspec.Struct], str], type[msgspec.Struct]]] = {
    (schema.Provider, "timeouts"): TimeoutOverrides,
    (schema.Route, "timeouts"): TimeoutOverrides,
    (schema.Model, "routes"): schema.Route,
}
_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)


def load(path: Path, environ: Mapping[str, str] = os.environ) -> schema.Config:
    """Read, expand and check the file at `path`. Raises ConfigError with every problem."""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(
            [f"{path}: no such file; pass --config FILE or set GATEWAY_CONFIG"]
        ) from None
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{path}: not UTF-8 (byte {exc.start}); TOML files must be"]) from exc
    except OSError as exc:
        raise ConfigError([f"{path}: cannot be read: {exc.strerror}"]) from exc
    return parse(text, str(path), environ)


def parse(text: str, name: str, environ: Mapping[str, str]) -> schema.Config:
    """Like `load`, of a text; `name` stands for the file in messages."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError([f"{name}: not valid TOML: {exc}"]) from exc
    reader = _Reader(name, environ)
    config = reader.config(tree)
    if not reader.problems:
        reader.problems += [f"{name}: {problem}" for problem in cross_check(config)]
    if reader.problems:
        raise ConfigError(reader.problems)
    return config


def with_bind(config: schema.Config, bind: str) -> schema.Config:
    """Return `config` that binds to `bind` instead. Raises ConfigError."""
    server = msgspec.structs.replace(config.server, bind=bind)
    changed = msgspec.structs.replace(config, server=server)
    if problems := [f"--bind: {problem}" for problem in cross_check(changed)]:
        raise ConfigError(problems)
    return changed


class _Reader:
    """Converts table after table and remembers what was wrong."""

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self.problems: list[str] = []
        self._name = name
        self._environ = environ

    def config(self, tree: dict[str, Any]) -> schema.Config:
        for key in tree.keys() - set(_KNOWN):
            self._unknown("top level", key, _KNOWN)
        fields: dict[str, Any] = {}
        for key, kind in _SINGLE.items():
            if key in tree:
                fields[key] = self._table(f"[{key}]", tree[key], kind)
        fields["providers"] = self._providers(tree.get("providers", {}))
        fields["models"] = self._array("models", tree.get("models", []), schema.Model)
        fields["tokens"] = self._array("tokens", tree.get("tokens", []), schema.Token)
        if self.problems:
            return schema.Config()
        return schema.Config(**fields)

    def _providers(self, tree: Any) -> dict[str, schema.Provider]:
        if not isinstance(tree, dict):
            self._problem("[providers]", "", "expected tables such as [providers.openai]")
            return {}
        found = {
            name: self._table(f"[providers.{name}]", value, schema.Provider)
            for name, value in tree.items()
        }
        return {name: provider for name, provider in found.items() if provider is not None}

    def _array(self, key: str, tree: Any, kind: type[T]) -> tuple[T, ...]:
        if not isinstance(tree, list):
            self._problem(f"[[{key}]]", "", f"expected an array of tables: write [[{key}]]")
            return ()
        found = []
        for number, item in enumerate(tree, 1):
            label = item.get("name") if isinstance(item, dict) else None
            where = f"[[{key}]] {label!r}" if isinstance(label, str) else f"[[{key}]] #{number}"
            found.append(self._table(where, item, kind))
        return tuple(item for item in found if item is not None)

    def _table(self, where: str, tree: Any, kind: type[T]) -> T | None:
        before = len(self.problems)
        if not isinstance(tree, dict):
            self._problem(where, "", f"expected a table, got {type(tree).__name__}")
            return None
        self._scan(where, "", tree, kind)
        expanded = self._expand(where, tree)
        if len(self.problems) > before:
            return None
        try:
            # Strict: a number in quotes is a mistake to point at, not to guess about...
            # except where the environment, which knows only strings, supplied it.
            return msgspec.convert(expanded, kind, strict=expanded == tree)
        except msgspec.ValidationError as exc:
            match = _AT.match(str(exc))
            path = (match["path"] if match else None) or ""
            self._problem(where, path, _lower_first(match["what"] if match else str(exc)))
            return None

    def _scan(
        self, where: str, prefix: str, tree: dict[str, Any], kind: type[msgspec.Struct]
    ) -> None:
        """Report unknown keys and non-finite numbers, with their full path."""
        known = {field.name for field in msgspec.structs.fields(kind)}
        for key, value in tree.items():
            path = f"{prefix}{key}"
            if key not in known:
                self._unknown(where, path, sorted(known))
                continue
            if isinstance(value, float) and not math.isfinite(value):
                self._problem(where, path, f"expected a finite number, got {value}")
            nested = _NESTED.get((kind, key))
            if nested is None:
                continue
            items = value if isinstance(value, list) else [value]
            for number, item in enumerate(items):
                if isinstance(item, dict):
                    inner = f"{path}[{number}]." if isinstance(value, list) else f"{path}."
                    self._scan(where, inner, item, nested)

    def _expand(self, where: str, tree: dict[str, Any]) -> dict[str, Any]:
        expanded = {}
        for key, value in tree.items():
            try:
                expanded[key] = expand(value, self._environ)
            except MissingVariable as exc:
                self._problem(where, key, str(exc))
        return expanded

    def _unknown(self, where: str, path: str, known: tuple[str, ...] | list[str]) -> None:
        close = difflib.get_close_matches(path.rpartition(".")[2], known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
        self._problem(where, path, f"unknown key; {hint}")

    def _problem(self, where: str, path: str, what: str) -> None:
        self.problems.append(f"{self._name}: {where}{' ' if path else ''}{path}: {what}")


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
