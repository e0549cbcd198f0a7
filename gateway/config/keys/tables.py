"""The tables of who may call: tokens, and the teams that they are of."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ...core.limits.budget import Budget
from ..value_types import Count, Labels, Moment, Name, TeamName


class TokenTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a key may do, and what it is for: all of a token beside its name and its key.

    The limits of its `team` hold for the keys of that team together. `labels` stand in the records
    of its requests. `overrides` are members of a body by which it may choose at the provider,
    `passthrough` the providers that it may ask for anything at all.
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
    passthrough: tuple[str, ...] = ()


class Token(TokenTerms, frozen=True, kw_only=True):
    name: Name
    key: str
    # Of the pair that Amazon's SDKs sign with; `[server] aws_secret` has the other half.
    aws_access_key_id: Annotated[str, Meta(pattern=r"^[A-Z0-9]{16,128}\Z")] | None = None


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
