"""Where models are served, and how that goes: what is configured beside what was observed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ...config.snapshot import ServedModel
from ...core.records.pricing import Prices
from ...store.control.deployments import DeploymentOrder
from ...store.queries.stats import DeploymentHealth

WORDS = {
    "closed": ("ok", "closed"),
    "half_open": ("warn", "trying again"),
    "open": ("bad", "open"),
}


class DeploymentShown(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment of one model.

    `key` is its name for breakers and drains, `order` what operators have ordered of it.
    `now` is what this process knows of it, None before the first look; `health` is what the store
    has of the last hour, of all processes. `share` is of the model's own attempts in that time.
    """

    key: str
    provider: str
    model: str
    order: DeploymentOrder | None
    fallback: str | None
    prices: Prices
    now: Mapping[str, Any] | None
    health: DeploymentHealth | None
    share: float

    @property
    def drained(self) -> bool:
        return self.order is not None and self.order.drained_until is not None

    @property
    def resettable(self) -> bool:
        """Say whether its breaker has anything to forget, as far as this process knows."""
        now = self.now
        return now is not None and (
            now["state"] != "closed" or bool(now["opens"] or now["consecutive_failures"])
        )

    @property
    def state(self) -> tuple[str, str]:
        if self.drained:
            return ("off", "drained")
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
    orders: Mapping[str, DeploymentOrder],
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
                    key=each.state_key,
                    order=orders.get(each.state_key),
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
