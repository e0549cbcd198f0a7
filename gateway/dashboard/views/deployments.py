"""Where models are served, and how that goes: what is configured beside what was observed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ...config.snapshot import ServedModel
from ...core.records.pricing import Prices
from ...store.queries.stats import DeploymentHealth

WORDS = {
    "closed": ("ok", "closed"),
    "half_open": ("warn", "trying again"),
    "open": ("bad", "open"),
}


class DeploymentShown(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment of one model.

    `now` is what this process knows of it, None before the first look; `health` is what the store
    has of the last hour, of all processes. `share` is of the model's own attempts in that time.
    """

    provider: str
    model: str
    fallback: str | None
    prices: Prices
    now: Mapping[str, Any] | None
    health: DeploymentHealth | None
    share: float

    @property
    def state(self) -> tuple[str, str]:
        if self.now is None:
            return ("off", "not asked yet")
        if self.now["state"] == "closed" and not self.now["available"]:
            return ("warn", "resting")
        return WORDS.get(self.now["state"], ("warn", self.now["state"]))


class ModelView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    deployments: list[DeploymentShown]

    @property
    def served(self) -> bool:
        """Say whether any deployment takes requests, as far as is known."""
        return any(each.now is None or each.now["available"] for each in self.deployments)


def model_views(
    models: Iterable[ServedModel],
    known: Sequence[Mapping[str, Any]],
    health: Sequence[DeploymentHealth],
) -> Iterator[ModelView]:
    """Yield the models in their order, each with its deployments and then its fallbacks'."""
    now = {each["name"]: each for each in known}
    observed = {f"{each.provider}/{each.model}": each for each in health}
    for model in models:
        names = [each.name for each in model.deployments]
        total = sum(observed[name].attempts for name in names if name in observed)
        yield ModelView(
            name=model.name,
            deployments=[
                DeploymentShown(
                    provider=each.provider,
                    model=each.pattern or each.model,
                    fallback=model.fallback(number),
                    prices=each.prices,
                    now=now.get(each.state_key),
                    health=observed.get(each.name),
                    share=observed[each.name].attempts / total if each.name in observed else 0.0,
                )
                for number, each in enumerate(model.deployments)
            ],
        )
