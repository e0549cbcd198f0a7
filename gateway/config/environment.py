"""`${NAME}` and `${NAME:-default}` in any string of the configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

# `$${` writes a literal `${`, as in Docker Compose.
_REFERENCE: Final = re.compile(
    r"\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{([^}]*)\}?"
)


class MissingVariable(Exception):
    """A reference to a variable that is unset and has no default."""


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
