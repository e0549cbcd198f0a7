"""Whether others on the machine can read the secrets in a configuration file."""

from __future__ import annotations

import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_SECRETS: Final = frozenset(
    {"api_key", "api_keys", "key", "client_secret", "aws_secret", "authorization"}
)


def readable_secrets(path: Path) -> str | None:
    """Return a note if `path` may be read by others and holds a secret as it is; else None."""
    try:
        mode = path.stat().st_mode
        if not mode & (stat.S_IRGRP | stat.S_IROTH):
            return None
        found = next(_secrets("", tomllib.loads(path.read_text("utf-8-sig"))), None)
    except (OSError, ValueError):
        return None
    if found is None:
        return None
    who = "everyone" if mode & stat.S_IROTH else "its group"
    return (
        f"{found}: {who} on this machine can read it (mode {stat.S_IMODE(mode):o}); write it as"
        f" ${{NAME}}, or run: chmod 600 {path}"
    )


def _secrets(where: str, value: Any) -> Iterator[str]:
    """Yield the paths of secrets that stand there themselves."""
    if isinstance(value, dict):
        for key, item in value.items():
            path = f"{where}.{key}" if where else key
            texts = item if isinstance(item, list) else [item]
            if key.lower() in _SECRETS and any(map(_is_secret, texts)):
                yield path
            else:
                yield from _secrets(path, item)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _secrets(f"{where}[{number}]", item)


def _is_secret(value: Any) -> bool:
    # Of a hash nobody gets the key. Short ones are what local servers are called with.
    return (
        isinstance(value, str)
        and len(value) >= 8
        and "${" not in value
        and not value.startswith("sha256:")
    )
