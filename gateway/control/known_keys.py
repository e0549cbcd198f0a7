"""What the configuration knows of keys: those of its files, its teams, which models there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from ..config.callers import key_digest
from ..config.catalog import Names
from ..config.checks.keys import KeyCheck
from ..config.keys.tables import MadeToken, Team, Token
from ..config.paths import tokens_path
from ..config.schema import Config


class KnownKeys:
    """The keys of a configuration that was read from the file `path`. Made anew for each change.

    With 10^5 tokens the first look takes a moment: it is for a thread.
    """

    def __init__(self, config: Config, path: Path) -> None:
        self._config = config
        self._path = path

    @cached_property
    def tokens(self) -> Mapping[str, Token]:
        """Return the tokens of the files by name."""
        return {token.name: token for token in self._config.tokens}

    @cached_property
    def digests(self) -> Mapping[bytes, str]:
        """Return who has which key: tokens of the files, and admins."""
        found = {key_digest(each.key): f"the token {each.name!r}" for each in self._config.tokens}
        return found | {
            key_digest(each.key): f"the admin {each.name!r}" for each in self._config.admins
        }

    @cached_property
    def teams(self) -> Mapping[str, Team]:
        """Return the teams of the configuration by name."""
        return {team.name: team for team in self._config.teams}

    @cached_property
    def members(self) -> Mapping[str, int]:
        """Return how many tokens of the files each team has."""
        return Counter(token.team for token in self._config.tokens if token.team is not None)

    @property
    def file(self) -> str:
        """Return the file that the configuration was read from."""
        return str(self._path)

    def source(self, token: Token) -> str:
        """Return the file that a token stands in."""
        beside = isinstance(token, MadeToken)
        return str(tokens_path(self._path) if beside else self._path)

    def unknown_model(self, models: tuple[str, ...]) -> str | None:
        """Return the first of `models` that a key cannot name, since there is none like that."""
        return next(KeyCheck(Names(self._config.models)).unknown_models(models), None)

    def unknown_provider(self, providers: tuple[str, ...]) -> str | None:
        """Return the first of `providers` that there is none of, nor is it "*" for all."""
        known = {"*", *self._config.providers}
        return next((each for each in providers if each not in known), None)
