"""`model_list` to models and routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .leftovers import Leftovers
from .providers import Providers
from .wording import number, per_million, text

# What is answered here; other modes have paths that are not served.
_MODES: Final = {None, "chat", "completion", "embedding", "moderation", "responses"}
_PRICES: Final = {
    "input_cost_per_token": "input_price",
    "output_cost_per_token": "output_price",
    "cache_read_input_token_cost": "cached_input_price",
    "cache_creation_input_token_cost": "cache_write_price",
    "input_cost_per_audio_token": "input_audio_price",
    "output_cost_per_audio_token": "output_audio_price",
}
_TIMES: Final = {"timeout": "total", "stream_timeout": "first_event"}
_PROVIDERS: Final = {
    *("model", "api_base", "base_url", "api_key", "custom_llm_provider", "organization"),
    *("headers", "extra_headers", "api_version"),
}
_LIMITS: Final = ("rpm", "tpm", "max_parallel_requests")
# What says nothing about how requests are served.
_ABOUT: Final = {"mode", "id", "base_model", "description", "version"}


class Models:
    """`tables` are what stands in `[[models]]`, by name."""

    def __init__(self, providers: Providers, leftovers: Leftovers) -> None:
        self.tables: dict[str, dict[str, Any]] = {}
        self._providers = providers
        self._leftovers = leftovers
        self._orders: dict[str, list[float]] = {}

    def __repr__(self) -> str:
        return f"<Models {[*self.tables]}>"

    def add(self, entry: Any) -> None:
        """Add the route of one deployment to its model."""
        params = entry.get("litellm_params") if isinstance(entry, Mapping) else None
        if not isinstance(params, Mapping) or not entry.get("model_name"):
            self._leftovers.note("an entry of model_list without model_name or litellm_params")
            return
        # Names are no place for references.
        name = str(entry["model_name"]).replace("${", "$${")
        info = entry.get("model_info") or {}
        mode = info.get("mode")
        if mode not in _MODES:
            self._leftovers.note(
                f"mode {mode}: is not served here, so its routes are left out", name
            )
            return
        found = self._providers.add(params, name)
        if found is None:
            return
        provider, model = found
        if not _fits(name, model):
            self._leftovers.note("a * that is not at the end of name and model: left out", name)
            return
        route: dict[str, Any] = {"provider": provider, "model": text(model)}
        if mode == "responses":
            route["api"] = "responses"
        self._details(route, params, info, name)
        table = self.tables.setdefault(name, {"name": name, "routes": []})
        table["routes"].append(route)
        self._orders.setdefault(name, []).append(number(params.get("order")) or float("inf"))

    def _details(
        self, route: dict[str, Any], params: Mapping[str, Any], info: Mapping[str, Any], name: str
    ) -> None:
        for theirs, ours in _PRICES.items():
            price = per_million(params.get(theirs, info.get(theirs, "")))
            if price is not None:
                route[ours] = price
        weight = number(params.get("weight"))
        if weight is not None:
            route["weight"] = weight
        times = {
            ours: seconds
            for theirs, ours in _TIMES.items()
            if (seconds := number(params.get(theirs))) is not None
        }
        if times:
            route["timeouts"] = times
        for limit in _LIMITS:
            if params.get(limit) is not None:
                self._leftovers.note(
                    f"{limit} of a deployment: limits are a provider's or a token's here", name
                )
        known = {*_PROVIDERS, *_PRICES, *_TIMES, *_LIMITS, "weight", "order"}
        self._leftovers.unknown(params, known, "litellm_params")
        self._leftovers.unknown(info, {*_ABOUT, *_PRICES}, "model_info")

    def finish(self, strategy: str) -> None:
        """Give each model its strategy, and those with an order their routes in that."""
        for name, table in self.tables.items():
            orders = self._orders[name]
            if any(each != float("inf") for each in orders):
                ranked = sorted(range(len(orders)), key=orders.__getitem__)
                table["routes"] = [table["routes"][at] for at in ranked]
            elif len(orders) > 1:
                table["strategy"] = strategy

    def alias(self, name: str, target: str) -> None:
        """Add another name for a model."""
        if target in self.tables and name not in self.tables:
            self.tables[name] = {"name": name, "alias": target}
        else:
            self._leftovers.note(f"model_group_alias {name!r}: {target!r} is no model here")

    def fall_back(self, name: str, others: list[str], reason: str | None) -> None:
        """Give a model others to fall back to, for a refusal of that `reason` or in general."""
        table = self.tables.get(name)
        if table is None or "alias" in table:
            self._leftovers.note(f"fallbacks of {name!r}, which is no model here")
            return
        known = table.setdefault("fallbacks", [])
        for other in others:
            if other not in self.tables:
                self._leftovers.note(f"the fallback {other!r}, which is no model here", name)
            elif other != name and other not in known:
                known.append(other)
        if not known:
            del table["fallbacks"]
        elif reason is not None and reason not in table.setdefault("fallback_on", []):
            table["fallback_on"].append(reason)


def _fits(name: str, model: str) -> bool:
    if "*" in name[:-1] or "*" in model[:-1]:
        return False
    return not model.endswith("*") or name.endswith("*")
