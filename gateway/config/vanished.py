"""What a new configuration lacks that the one in use has: signs of a half-written file.

TOML that ends early is often valid: a file that is cut in front of `[[tokens]]` is a whole
configuration of a gateway without tokens, which everyone may use.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

import msgspec

from .schema import Config, Token

# One token revoked of two is an ordinary change. The names of more than one table that go at
# once, and at least half of all, may as well be the end of a file that is not there yet.
_SHARE: Final = 0.5
_LEAST: Final = 2
# What a token without any more may do than one with.
_BOUNDS: Final = ("models", "rpm", "tpm", "max_concurrent", "budget", "expires_at")
_DEFAULTS: Final = {field.name: field.default for field in msgspec.structs.fields(Token)}
# As many tokens are named.
_NAMED: Final = 5


def opened(had_tokens: bool, new: Config) -> str | None:
    """Return what is wrong if `new` opens a gateway that wants keys and does not say so."""
    if new.tokens or new.server.open or not had_tokens:
        return None
    return (
        "[[tokens]]: there are none any more, and without tokens everyone who reaches the port can"
        " use every model; a half-written file looks the same, so set open = true in [server] if"
        " that is meant"
    )


def vanished(old: Config, new: Config) -> tuple[str, ...]:
    """Return a sentence for each kind of table of which a large share is gone."""
    pairs: tuple[tuple[str, Collection[str], Collection[str]], ...] = (
        ("[providers]", old.providers, new.providers),
        ("[[models]]", _names(old.models), _names(new.models)),
        ("[[tokens]]", _names(old.tokens), _names(new.tokens)),
        ("[[admins]]", _names(old.admins), _names(new.admins)),
    )
    found: list[str] = []
    for table, before, after in pairs:
        gone = len(set(before).difference(after))
        if gone >= max(_LEAST, _SHARE * len(before)):
            found.append(f"{table}: {gone} of {len(before)} are gone; is the file complete?")
    if freed := [*_freed(old, new)]:
        more = f" and {len(freed) - _NAMED} more" if len(freed) > _NAMED else ""
        found.append(
            f"[[tokens]]: {'; '.join(freed[:_NAMED])}{more}: no bounds any more;"
            " is the file complete?"
        )
    return tuple(found)


def _freed(old: Config, new: Config) -> Iterator[str]:
    """Yield what bounded tokens that are still there: a file may be cut inside of a table."""
    before = {token.name: token for token in old.tokens}
    for token in new.tokens:
        was = before.get(token.name)
        if was is None:
            continue
        lost = [
            bound
            for bound in _BOUNDS
            if getattr(token, bound) == _DEFAULTS[bound] != getattr(was, bound)
        ]
        if lost:
            yield f"{', '.join(lost)} of {token.name}"


def _names(tables: Collection[Any]) -> list[str]:
    return [table.name for table in tables]
