"""The models that a person can try, the APIs in which each is served, and how routes are chosen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ...config.catalog import Names
from ...config.schema import Model
from ...config.snapshot import ServedModel
from ...core.dialects.offered import OFFERED
from ...core.dialects.translators import translatable
from ...core.routing.balancing.strategies import StrategyName

MOST: Final = 200


class ModelChoice(msgspec.Struct, frozen=True):
    name: str
    apis: list[str]


def model_choices(models: Iterable[ServedModel]) -> list[ModelChoice]:
    """Return the models with a name of their own, in the order of the configuration."""
    return [
        ModelChoice(
            model.name,
            [
                name
                for name, _, dialect in OFFERED
                if any(each.takes(dialect) or translatable(dialect, each)
                       for each in model.deployments)
            ],
        )
        for model in models
    ]  # fmt: skip


def api_of(target: str) -> str | None:
    """Return which of the APIs a path belongs to."""
    return next((name for name, _, dialect in OFFERED if dialect.path == target), None)


def strategy_of(models: Sequence[Model], name: str | None) -> StrategyName | None:
    """Return how the routes of a model are ordered now; None if there are none to choose from."""
    found = [*Names(models).follow(name)] if name else []
    if not found or len(found[-1].model.routes) < 2:
        return None
    return found[-1].model.strategy
