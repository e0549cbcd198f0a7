"""Everything but the models: the router, the proxy, its keys and budgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from .leftovers import Leftovers
from .models import Models
from .wording import is_reference, number, text

_STRATEGIES: Final = {
    "simple-shuffle": "weighted",
    "least-busy": "least_busy",
    "latency-based-routing": "lowest_latency",
    "cost-based-routing": "cheapest",
}
_FALLBACKS: Final = {
    "fallbacks": None,
    "context_window_fallbacks": "context_length",
    "content_policy_fallbacks": "content_policy",
}
_WINDOWS: Final = {"1d": "day", "24h": "day", "7d": "week", "30d": "month", "1mo": "month"}
_MASTER: Final = "LITELLM_MASTER_KEY"
# What says nothing about how requests are served, or is so here in any case.
_QUIET: Final = {
    *(
        "set_verbose",
        "debug",
        "telemetry",
        "json_logs",
        "enable_pre_call_checks",
        "disable_telemetry",
    ),
    *("always_include_stream_usage", "detailed_debug", "redact_user_api_key_info"),
}
_RETRIES: Final = {"num_retries", "allowed_fails", "cooldown_time"}


class Settings:
    """`tables` are the tables of which there is one; `tokens` those of `[[tokens]]`."""

    def __init__(self, tree: Mapping[str, Any], models: Models, leftovers: Leftovers) -> None:
        self.tables: dict[str, dict[str, Any]] = {}
        self.tokens: list[dict[str, Any]] = []
        self._models = models
        self._leftovers = leftovers
        self._tree = tree
        # In LiteLLM some settings may stand in either of these.
        self._both = {**self._part("litellm_settings"), **self._part("router_settings")}

    def __repr__(self) -> str:
        return f"<Settings {[*self.tables]}>"

    def convert(self) -> None:
        self._models.finish(self._strategy())
        aliases = self._both.get("model_group_alias") or {}
        for name, target in aliases.items() if isinstance(aliases, Mapping) else ():
            model = target.get("model") if isinstance(target, Mapping) else target
            self._models.alias(str(name), str(model))
        for key, reason in _FALLBACKS.items():
            for name, others in _pairs(self._both.get(key)):
                self._models.fall_back(name, others, reason)
        if default := self._both.get("default_fallbacks"):
            for name, table in [*self._models.tables.items()]:
                if "alias" not in table and "fallbacks" not in table:
                    self._models.fall_back(name, [str(each) for each in default], None)
        self._retries()
        self._times()
        self._cache()
        if self._both.get("drop_params"):
            self.tables["translation"] = {"unsupported": "drop"}
        self._callers()
        self._rest()

    def _part(self, name: str) -> dict[str, Any]:
        found = self._tree.get(name)
        return found if isinstance(found, dict) else {}

    def _strategy(self) -> str:
        given = str(self._both.get("routing_strategy") or "simple-shuffle")
        if given not in _STRATEGIES:
            self._leftovers.note(f"routing_strategy {given}: the nearest here is least_busy")
        return _STRATEGIES.get(given, "least_busy")

    def _retries(self) -> None:
        retries = self._both.get("num_retries")
        if isinstance(retries, int) and retries >= 0:
            self.tables["retry"] = {"max_attempts": retries + 1}
        breaker: dict[str, Any] = {}
        if failures := number(self._both.get("allowed_fails")):
            breaker["consecutive_failures"] = int(failures) + 1
        if seconds := number(self._both.get("cooldown_time")):
            breaker |= {"open_time": seconds, "max_open_time": max(15.0, float(seconds))}
        if breaker:
            self.tables["breaker"] = breaker

    def _times(self) -> None:
        given = {**self._part("general_settings"), **self._both}
        total = number(given.get("request_timeout")) or number(given.get("timeout"))
        first = number(given.get("stream_timeout"))
        connect = number(given.get("connect_timeout"))
        times = {"connect": connect, "first_event": first, "total": total}
        if found := {name: seconds for name, seconds in times.items() if seconds is not None}:
            self.tables["timeouts"] = found

    def _cache(self) -> None:
        if not self._both.get("cache"):
            return
        params = self._both.get("cache_params") or {}
        kind = params.get("type", "redis")
        ttl = number(params.get("ttl")) or 60
        if kind != "local":
            self._leftovers.note(f"cache of type {kind}: answers are kept in each process's memory")
        for table in self._models.tables.values():
            if "alias" not in table:
                table["cache"] = {"ttl": min(ttl, 86_400)}

    def _callers(self) -> None:
        general = self._part("general_settings")
        master = general.get("master_key")
        if master is None:
            self._leftovers.note("there is no master_key, so the gateway is open: add [[tokens]]")
            return
        key = text(master)
        if not is_reference(key):
            self._leftovers.note(f"master_key stands in the file; set {_MASTER} in the environment")
            key = f"${{{_MASTER}}}"
        token: dict[str, Any] = {"name": "master", "key": key}
        given = {**self._both, **general}
        if budget := number(given.get("max_budget")):
            duration = str(given.get("budget_duration") or "")
            if duration not in _WINDOWS:
                self._leftovers.note(f"budget_duration {duration or 'absent'}: a month is taken")
            token["budget"] = {"usd": budget, "window": _WINDOWS.get(duration, "month")}
            self._leftovers.note("max_budget: is the budget of the token master here")
        self.tokens.append(token)
        self._leftovers.note("keys, users and teams in its database: make them by `gateway keys"
                             " create`, `gateway users create` and [[teams]]")  # fmt: skip

    def _rest(self) -> None:
        known = {
            *(*_QUIET, *_RETRIES, *_FALLBACKS, "default_fallbacks", "routing_strategy"),
            *("model_group_alias", "request_timeout", "timeout", "stream_timeout", "cache"),
            *("cache_params", "drop_params", "max_budget", "budget_duration"),
        }
        for part in ("litellm_settings", "router_settings"):
            self._leftovers.unknown(self._part(part), known, part)
        general = {"master_key", "connect_timeout", "database_url", *known}
        self._leftovers.unknown(self._part("general_settings"), general, "general_settings")
        for name in self._part("environment_variables"):
            self._leftovers.note("environment_variables: set them in the environment", str(name))
        parts = {"model_list", "litellm_settings", "router_settings", "general_settings"}
        for name in self._tree:
            if name not in {*parts, "environment_variables"}:
                self._leftovers.note(f"{name}: has no counterpart")


def _pairs(value: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield who falls back to whom: a list of tables with one member each, or one table."""
    for table in value if isinstance(value, list) else [value]:
        for name, others in table.items() if isinstance(table, Mapping) else ():
            listed = others if isinstance(others, list) else [others]
            yield str(name), [str(each) for each in listed if isinstance(each, str)]
