"""What holds between tokens and admins: each has a name and a key of its own.

Problems are sentences like those of `cross_check.py`, and never hold any of a key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from ..callers import key_digest
from ..catalog import Names
from ..keys.tables import Team, Token
from ..schema import Admin

# To be matched in full: `$` would let a line break at the end pass.
_KEY: Final = re.compile(r"[\x21-\x7e\x80-\xff]{8,}")
_HASHED: Final = re.compile(r"sha256:[0-9a-fA-F]{64}")
_ONE: Final = {"token": "a token", "admin": "an admin"}


class KeyCheck:
    """Remembers what it has seen: both may stand in two files, and no two have the same key."""

    def __init__(self, names: Names, *, aws: bool = False) -> None:
        self._names = names
        # Whether tokens may have a pair of Amazon's kind, and those that have been seen.
        self._aws = aws
        self._pairs: set[str] = set()
        # Of 10^5 tokens most may use the same models.
        self._fine: set[str] = {"*"}
        self._tokens: set[str] = set()
        self._admins: set[str] = set()
        self._digests: dict[bytes, str] = {}

    def tokens(
        self, tokens: Iterable[Token], providers: Collection[str] | None = None
    ) -> Iterator[str]:
        """Yield the problems of `tokens`; `providers` are all that there are, if known."""
        for token in tokens:
            where = f"[[tokens]] {token.name!r}"
            if token.name in self._tokens:
                yield f"{where} name: appears twice; give each token its own name"
            self._tokens.add(token.name)
            if wrong := self._key(token.key, "token"):
                yield f"{where} key: {wrong}"
            yield from self._pair(where, token.aws_access_key_id)
            for name in self.unknown_models(token.models):
                yield f'{where} models: there is no model {name!r}; use "*" for all'
            yield from unknown_providers(f"{where} passthrough", token.passthrough, providers)

    def _pair(self, where: str, key_id: str | None) -> Iterator[str]:
        if key_id is None:
            return
        if key_id in self._pairs:
            yield f"{where} aws_access_key_id: another token has the same; give each its own"
        self._pairs.add(key_id)
        if not self._aws:
            yield (
                f"{where} aws_access_key_id: its secret follows from [server] aws_secret, which is"
                ' not set; for example aws_secret = "${GATEWAY_AWS_SECRET}"'
            )

    def admins(self, admins: Iterable[Admin]) -> Iterator[str]:
        for admin in admins:
            where = f"[[admins]] {admin.name!r}"
            if admin.name in self._admins:
                yield f"{where} name: appears twice; give each admin their own name"
            self._admins.add(admin.name)
            if wrong := self._key(admin.key, "admin"):
                yield f"{where} key: {wrong}"
            if admin.scopes == ():
                yield f"{where} scopes: is empty, so the key could do nothing; name one or more"

    def unknown_models(self, models: Iterable[str]) -> Iterator[str]:
        """Yield those of `models` that a token may name and that do not exist."""
        for name in models:
            if name not in self._fine:
                if self._names.match(name) is not None:
                    self._fine.add(name)
                else:
                    yield name

    def teams(self, teams: Iterable[Team]) -> Iterator[str]:
        names: set[str] = set()
        for team in teams:
            if team.name in names:
                yield f"[[teams]] {team.name!r} name: appears twice; give each team its own name"
            names.add(team.name)

    def _key(self, key: str, kind: str) -> str | None:
        if wrong := malformed(key):
            return wrong
        # A key and its hash are the same key.
        digest = key_digest(key)
        if (other := self._digests.get(digest)) is not None:
            whose = f"another {kind}" if other == kind else _ONE[other]
            return f"belongs to {whose} too; each needs its own"
        self._digests[digest] = kind
        return None


def unknown_providers(
    where: str, named: Iterable[str], providers: Collection[str] | None
) -> Iterator[str]:
    """Yield those of `named` that are no providers."""
    for name in named:
        if providers is not None and name != "*" and name not in providers:
            yield f'{where}: there is no provider {name!r}; use "*" for all'


def malformed(key: str) -> str | None:
    """Return what is wrong with the form of a key, or of its hash; None if nothing is."""
    if key.startswith("sha256:") and not _HASHED.fullmatch(key):
        return "sha256: must be followed by 64 hexadecimal digits"
    if not _KEY.fullmatch(key):
        return "must have at least 8 characters and no spaces"
    return None
