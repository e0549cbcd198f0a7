"""A configuration that somebody has pasted: what is wrong with it, and how it differs from ours.

Nothing of it is put into use. It is read without this process's environment and files: `${NAME}`
shows nobody what a variable holds, and `ca_file` nobody what there is on the machine. A variable is
taken to hold what fits.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import msgspec

from ..config import load
from ..config.checks.advice import advice
from ..config.schema import Config
from ..errors import ConfigError

# Of each, in one answer. A hundred thousand tokens may all be new.
MOST: Final = 1000
MASKED: Final = "********"
# Settings whose values, and those of all within them, are shown to nobody...
_SECRETS: Final = frozenset(
    {"key", "api_key", "api_keys", "client_secret", "aws_secret", "password", "url", "headers"}
)
# ...and texts that may hold one wherever they stand.
_INSIDE: Final = re.compile(r"sha256:|://[^/]*@")
# What variables may stand for: an address, a count, a share. All differ, as keys must.
_VARIABLE: Final = re.compile(r"https://([A-Za-z_][A-Za-z0-9_]*)\.variable\.invalid")


class PastedConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The text of a config.toml, and of the tokens.toml beside it if there is one."""

    text: str
    tokens: str | None = None


class CheckedConfig(msgspec.Struct, frozen=True):
    """`errors` name file, table and key, and what would be right; `warnings` are valid."""

    valid: bool
    errors: list[str]
    warnings: list[str]


class Difference(msgspec.Struct, frozen=True):
    """A setting that differs. A secret is masked; None stands for what is not there.

    What comes from a variable, shown as `${NAME}`, may turn out to be the same.
    """

    name: str
    old: Any
    new: Any


class ComparedConfig(msgspec.Struct, frozen=True):
    valid: bool
    errors: list[str]
    differences: list[Difference]
    # How many more there are.
    left_out: int = 0


class _Variables(Mapping[str, str]):
    """An environment in which every variable is set, each to another value of a kind of its own."""

    def __init__(self) -> None:
        self.kinds: dict[str, int] = {}

    def __getitem__(self, name: str) -> str:
        kind = self.kinds.setdefault(name, 0)
        return _KINDS[kind](name, [*self.kinds].index(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.kinds)

    def __len__(self) -> int:
        return len(self.kinds)


_KINDS: Final[tuple[Callable[[str, int], str], ...]] = (
    lambda name, _: f"https://{name}.variable.invalid",
    lambda _, number: f"{10_000_000 + number}",
    lambda _, number: f"0.{50_000_000 + number}",
)
# Variables that a fitting kind is looked for, each with as many readings of the file; and the
# length of a file, in characters, that is read so often.
_MOST_VARIABLES: Final = 30
_LONGEST: Final = 200_000


def check(pasted: PastedConfig) -> CheckedConfig:
    """Say everything that is wrong with a file. For a thread: it may take a second."""
    config, errors = _read(pasted)
    notes = () if config is None else advice(config, time.time())
    return CheckedConfig(not errors, errors[:MOST], [*islice(notes, MOST)])


def compare(running: Config, pasted: PastedConfig) -> ComparedConfig:
    """Return what would change; of a file with faults, its faults. For a thread."""
    config, errors = _read(pasted)
    if config is None:
        return ComparedConfig(False, errors[:MOST], [])
    every = [*_differences("", _tree(running), _tree(config))]
    return ComparedConfig(True, [], every[:MOST], max(0, len(every) - MOST))


def _read(pasted: PastedConfig) -> tuple[Config | None, list[str]]:
    """Return the configuration, or what is wrong with it whatever its variables hold."""
    variables = _Variables()
    found = _parsed(pasted, variables)
    if len(pasted.text) + len(pasted.tokens or "") > _LONGEST:
        return found
    for name in [*variables][:_MOST_VARIABLES]:
        for kind in range(1, len(_KINDS)):
            if not found[1]:
                return found
            before = variables.kinds[name]
            variables.kinds[name] = kind
            other = _parsed(pasted, variables)
            if len(other[1]) < len(found[1]):
                found = other
            else:
                variables.kinds[name] = before
    return found


def _parsed(pasted: PastedConfig, variables: _Variables) -> tuple[Config | None, list[str]]:
    tokens = None if not pasted.tokens else load.TokensFile(pasted.tokens, "tokens.toml")
    try:
        return load.parse(pasted.text, "config.toml", variables, tokens, on_disk=False), []
    except ConfigError as exc:
        return None, [*exc.problems]


def _tree(value: Any) -> Any:
    """Return a configuration as names and values; tables with a name of their own by that."""
    if isinstance(value, msgspec.Struct):
        return {name: _tree(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {name: _tree(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        if value and all(hasattr(each, "name") for each in value):
            return {each.name: _tree(each) for each in value}
        return [_tree(each) for each in value]
    return value


def _differences(path: str, old: Any, new: Any) -> Iterator[Difference]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            where = f"{path}.{name}" if path else name
            yield from _differences(where, old.get(name), new.get(name))
        return
    before, after = _shown(path, old), _shown(path, new)
    yield Difference(path, before, after)


def _shown(path: str, value: Any) -> Any:
    """Return a value as it may be shown, with all secrets in it masked."""
    if isinstance(value, dict):
        return {name: _shown(f"{path}.{name}", each) for name, each in value.items()}
    if isinstance(value, list):
        return [_shown(path, each) for each in value]
    if not isinstance(value, str):
        return value
    shown = _VARIABLE.sub(r"${\1}", value)
    if _VARIABLE.fullmatch(value):
        return shown
    secret = not _SECRETS.isdisjoint(path.split(".")) or _INSIDE.search(shown)
    return MASKED if secret else shown
