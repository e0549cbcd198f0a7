"""The tables of who may call: tokens, and the teams that they are of."""

from __future__ import annotations

import msgspec

from ...core.limits.budget import Budget
from ..value_types import Count, Labels, Moment, Name, TeamName


class TokenTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a key may do, and what it is for: all of a token beside its name and its key.

    The limits of its `team` hold for the keys of that team together. `labels` stand in the records
    of its requests. `overrides` are members of a body by which it may choose at the provider.
    """

    models: tuple[str, ...] = ("*",)
    rpm: Count | None = None
    tpm: Count | None = None
    max_concurrent: Count | None = None
    budget: Budget | None = None
    expires_at: Moment | None = None
    team: TeamName | None = None
    labels: Labels = {}
    overrides: tuple[str, ...] = ()


class Token(TokenTerms, frozen=True, kw_only=True):
    name: Name
    key: str


class MadeToken(Token, frozen=True):
    """One of `tokens.toml`, which `gateway tokens` writes."""


class TeamTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits that hold for all keys with that `team` together."""

    rpm: Count | None = None
    tpm: Count | None = None
    max_concurrent: Count | None = None
    budget: Budget | None = None


class Team(TeamTerms, frozen=True, kw_only=True):
    name: TeamName
