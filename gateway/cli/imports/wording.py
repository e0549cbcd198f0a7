"""References to variables, keys that stand in a file, and values as TOML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

_REFERENCE: Final = re.compile(r"os\.environ/([A-Za-z_]\w*)", re.ASCII)
_OWN_REFERENCE: Final = re.compile(r"\$\{[A-Za-z_]\w*\}", re.ASCII)
# Servers that want no key, where a client has to give one.
_NO_KEY: Final = re.compile(
    r"(?:none|null|empty|any(?:thing)?|not[-_ ]?needed|no[-_]?key|dummy.*|fake.*|placeholder|x+"
    r"|na|-|lm[-_]studio|sk-no-key.*|sk-(?:dummy|fake)?|local)",
    re.IGNORECASE,
)
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


def text(value: Any) -> str:
    """Return a string of the file with its references as ours; what only looks like one stays."""
    given = str(value)
    if found := _REFERENCE.fullmatch(given.strip()):
        return f"${{{found[1]}}}"
    parts = _OWN_REFERENCE.split(given)
    kept = _OWN_REFERENCE.findall(given)
    # Ours is `$${` for a literal `${`.
    whole = [part.replace("${", "$${") for part in parts]
    return "".join(part + reference for part, reference in zip(whole, [*kept, ""], strict=True))


def is_reference(value: str) -> bool:
    return bool(_OWN_REFERENCE.fullmatch(value))


def stands_for_none(key: str) -> bool:
    """Say whether a key is one that only fills a place."""
    return bool(_NO_KEY.fullmatch(key.strip()))


def per_million(value: Any) -> float | None:
    """Return a price of one token as one of a million, exactly; None if it is none."""
    try:
        found = Decimal(str(value)) * 1_000_000
    except InvalidOperation:
        return None
    return float(found) if found.is_finite() and found >= 0 else None


def number(value: Any) -> float | int | None:
    """Return a number above 0 that was written as one, or as a string; None if it is none."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    if not 0 < found < 1e12:
        return None
    return int(found) if found == int(found) else found


def toml(value: Any) -> str:
    """Return a value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key(name)} = {toml(each)}" for name, each in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return str(value)


def key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else toml(name)
