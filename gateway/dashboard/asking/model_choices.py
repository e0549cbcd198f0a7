"""The models that a person can try, and the APIs in which each is served."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from ...config.snapshot import ServedModel
from ...core.dialects.offered import OFFERED
from ...core.dialects.translators import translatable

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
