"""`${NAME}` and `${NAME:-default}` in any string of the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

# `$${` writes a literal `${`, as in Docker Compose.
_REFERENCE: Final = re.compile(
    r"\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{([^}]*)\}?"
)


# What `MissingVariable` says of a reference that another environment could replace.
_UNSET: Final = re.compile(r"\bthe environment variable [A-Za-z_][A-Za-z0-9_]* is not set; ")


class MissingVariable(Exception):
    """A reference to a variable that is unset and has no default."""


def only_unset(problems: Sequence[str]) -> bool:
    """Say whether nothing is wrong but variables that are not set here.

    A person who edits a gateway's files need not have the environment that the gateway has.
    """
    return all(map(_UNSET.search, problems))


class StandIns(Mapping[str, str]):
    """An environment in which every variable is set: to a text, where `environ` does not say."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        return self._environ.get(name) or f"unset:{name}"

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)


def expand(value: Any, environ: Mapping[str, str]) -> Any:
    """Return `value`, a tree as tomllib gives it, with every reference replaced.

    An empty variable counts as unset, as with `:-` in a shell. Raises MissingVariable with
    a sentence that names the variable.
    """
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: _replacement(match, environ), value)
    if isinstance(value, list):
        return [expand(item, environ) for item in value]
    if isinstance(value, dict):
        return {key: expand(item, environ) for key, item in value.items()}
    return value


def _replacement(match: re.Match[str], environ: Mapping[str, str]) -> str:
    escaped, name, default, malformed = match.groups()
    if escaped:
        return "${"
    if malformed is not None:
        raise MissingVariable(
            # Not quoted: it may be the key itself, put between the braces.
            "a ${ does not begin a reference; write ${NAME} or ${NAME:-default}, "
            "or $${ for a literal ${"
        )
    if value := environ.get(name):
        return value
    if default is not None:
        return default
    raise MissingVariable(
        f"the environment variable {name} is not set; export {name}=... "
        f"or give a default: ${{{name}:-value}}"
    )
