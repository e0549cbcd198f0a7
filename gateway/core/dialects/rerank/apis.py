"""The APIs for ranks, by the names of their dialects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..bedrock_invoke.ranks import InvokedRanks
from .ranks import OpenRanks
from .translation import RankApi

RANKINGS: Final[Mapping[str, RankApi]] = {"rerank": OpenRanks(), "bedrock_rerank": InvokedRanks()}


def rank_target(targets: Mapping[str, bytes]) -> RankApi | None:
    """Return the API in which a provider can be asked for ranks; None if it has none."""
    return next((api for api in RANKINGS.values() if api.operation in targets), None)
