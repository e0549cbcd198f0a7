"""What is valid and yet probably not meant: said by `gateway check` and at the start."""

from __future__ import annotations

from collections.abc import Iterator

from ...providers.registry import KINDS
from ..catalog import Names
from ..schema import Config, Route


def advice(config: Config, epoch: float) -> Iterator[str]:
    """Yield sentences that begin with the table and the key; `epoch` is Unix time."""
    if config.retry.cap < config.retry.base:
        yield "[retry] cap: is less than base, which then has no effect"
    if 0 < config.cache.max_bytes < config.cache.max_entry_bytes:
        yield "[cache] max_entry_bytes: is more than max_bytes, the limit of all entries together"
    for name, provider in config.providers.items():
        probe = provider.probe
        for key, note in KINDS[provider.kind].notes(provider):
            yield f"[providers.{name}] {key}: {note}"
        if probe is not None and probe.timeout > probe.interval:
            yield f"[providers.{name}] probe.timeout: is longer than interval"
    for token in config.tokens:
        where = f"[[tokens]] {token.name!r}"
        if not token.models:
            yield f"{where} models: is empty, so the key may use no model"
        if token.expires_at is not None and token.expires_at.timestamp() <= epoch:
            yield f"{where} expires_at: is over; the key is refused"
    yield from _free_models(config)


def _free_models(config: Config) -> Iterator[str]:
    """Name the models without a price whose use spends nothing of a token's budget."""
    limited = [token for token in config.tokens if token.budget is not None]
    if not limited:
        return
    names = Names(config.models)
    everyone = any("*" in token.models for token in limited)
    wanted = {name for token in limited for name in token.models}
    for model in config.models:
        ways = list(names.follow(model.name))
        free = ways and any(map(_is_free, ways[-1].model.routes))
        if free and (everyone or model.name in wanted):
            yield (
                f"[[models]] {model.name!r}: has a route without prices, and what it serves spends "
                "nothing of any token's budget; give its routes input_price and output_price"
            )


def _is_free(route: Route) -> bool:
    return not (route.input_price or route.output_price)
